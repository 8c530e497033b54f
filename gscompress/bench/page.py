"""Results as one HTML page that loads nothing from elsewhere: plots to hover and zoom, pictures, error maps, tables."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from gscompress import __version__
from gscompress.atomic import staged
from gscompress.bench.peers.base import Point
from gscompress.bench.plan import Cell, SceneSpec
from gscompress.bench.plot import styles
from gscompress.bench.results import Facts, SceneResults, deltas, exact, worst_psnr
from gscompress.bench.run import CELLS, SCENES
from gscompress.bench.views import Judges
from gscompress.pictures import RAMP, U8, data_uri, error_levels, error_map, full_scale

_AGAINST = {
    "self": "renders of the original",
    "photos": "held-out photos",
    "3dgs-zip": "held-out photos, by the rules of 3DGS.zip",
}

QUALITY = 92
"""Of embedded pictures: a page with dozens of them has to lose a little."""


def write_page(
    target: Path, folder: Path, scenes: Sequence[SceneResults], anchor: str, about: Mapping[str, Any]
) -> None:
    """Write the page. ``folder`` holds the cells and their pictures."""
    machine, rules = about["machine"], about["rules"]
    titles = {cell["codec"]: cell["title"] for scene in scenes for cell in scene.cells}
    data = {
        "about": f"PSNR and SSIM on 8-bit pictures against {_AGAINST[rules['protocol']]}, of views that no encoder was "
        "judged by; sizes are bytes on disk.",
        "machine": ", ".join(f"{key} {value}" for key, value in machine.items() if value is not None),
        "anchor": anchor,
        "titles": titles,
        "looks": styles(scenes),
        "ours": [codec for codec in titles if any(c["ours"] for s in scenes for c in s.of(codec))],
        "bd": [dataclasses.asdict(delta) for delta in deltas(scenes, anchor)],
        "scenes": [_scene(scene, folder) for scene in scenes],
    }
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    template = Template(files("gscompress.data").joinpath("bench.html").read_text("utf-8"))
    ramp = ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in RAMP)
    with staged(target, force=True) as path:
        path.write_text(template.substitute(version=escape(__version__), ramp=ramp, data=text), encoding="utf-8")


def _scene(scene: SceneResults, folder: Path) -> dict[str, Any]:
    facts = scene.facts
    judges = Judges.load(folder / SCENES / scene.name)
    pairs = list(_shots(scene, folder, judges))
    top = int(np.median([full_scale(levels) for _, levels in pairs] or [1]))  # one scale, or maps could not be compared
    shots = [{**shot, "error": data_uri(error_map(levels, top), QUALITY)} for shot, levels in pairs]
    return {
        **{key: facts[key] for key in ("name", "note", "gaussians", "sh_degree", "bytes", "views")},
        "size": facts["picture_size"],
        "cells": [_cell(cell) for cell in scene.cells],
        "failed": [{key: cell[key] for key in ("title", "point", "error")} for cell in scene.failed],
        "original": (facts.get("original") or {}).get("psnr"),
        "shots": shots,
        "top": top,
        "originals": {shot["view"]: data_uri(judges.pictures[shot["view"]], QUALITY) for shot in shots},
    }


def _cell(cell: Facts) -> dict[str, Any]:
    encode, decode = cell.get("encode", {}), cell.get("decode", {})
    peaks = [cost["peak_mb"] for cost in (encode, decode) if cost.get("peak_mb")]
    return {
        **{key: cell[key] for key in ("codec", "title", "point", "ours", "status", "bytes", "psnr", "identical")},
        "exact": exact(cell),
        "worst": worst_psnr(cell),
        "ssim": cell.get("ssim"),
        "encode": encode.get("seconds"),
        "decode": decode.get("seconds"),
        "peak": max(peaks, default=None),
        "fps": cell.get("fps"),
        "source": cell.get("source"),
    }


def _shots(scene: SceneResults, folder: Path, judges: Judges) -> Iterator[tuple[dict[str, Any], Any]]:
    """Worst view of one point per lossy codec, the one nearest to the median of all sizes, and its errors."""
    lossy = [cell for cell in scene.cells if cell["status"] == "done" and not exact(cell)]
    if not lossy:
        return
    middle = float(np.median([math.log(cell["bytes"]) for cell in lossy]))
    for codec in dict.fromkeys(cell["codec"] for cell in lossy):
        of_codec = [cell for cell in lossy if cell["codec"] == codec]
        cell = min(of_codec, key=lambda cell: abs(math.log(cell["bytes"]) - middle))
        place = Cell(SceneSpec(scene.name, Path()), codec, Point(cell["point"])).folder
        decoded = _load(folder / CELLS / place / "worst.png")
        index = cell["worst"]["index"]
        shot = {
            **{key: cell[key] for key in ("codec", "title", "point", "bytes")},
            "psnr": worst_psnr(cell),
            "view": index,
            "name": cell["worst"]["view"],
            "decoded": data_uri(decoded, QUALITY),
        }
        yield shot, error_levels(judges.pictures[index], decoded)


def _load(path: Path) -> U8:
    from PIL import Image

    with Image.open(path) as stored:
        return np.asarray(stored.convert("RGB"))
