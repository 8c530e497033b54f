"""Tables as the survey 3DGS.zip takes them from the authors of a method: one folder per codec, ready to be handed in.

Per scene ``results/<data set>/<scene>.csv`` with the survey's six columns and nothing else. At most two rows have a
name and are shown in its table, the smallest and the largest file ("Baseline" if there is only one); the others, whose
name is empty, are points of its plots.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gscompress.atomic import staged
from gscompress.bench.results import Facts, SceneResults
from gscompress.bench.standard import SETS, set_of

COLUMNS = ("Submethod", "PSNR", "SSIM", "LPIPS", "Size [Bytes]", "#Gaussians")
_PLACES = {"psnr": 2, "ssim": 4, "lpips": 4}
_KEYS = (*_PLACES, "bytes", "gaussians")


def write(folder: Path, scenes: Sequence[SceneResults]) -> list[Path]:
    """``3dgs-zip/<codec>/results/<data set>/<scene>.csv``, and per data set the averages over its scenes.

    Scenes of no standard data set are left out. Returns what was written.
    """
    written = []
    for codec in dict.fromkeys(codec for scene in scenes for codec in measured(scene)):
        place = folder / "3dgs-zip" / codec / "results"
        for scene in scenes:
            if (name := set_of(scene.name)) and codec in measured(scene):
                written.append(_put(place / name / f"{scene.name.lower()}.csv", _rows(measured(scene)[codec])))
        for name in SETS:
            mean = average([scene for scene in scenes if set_of(scene.name) == name], codec)
            if mean:
                written.append(_put(place / f"{name}.csv", _rows(mean)))
    return written


def measured(scene: SceneResults) -> dict[str, list[Facts]]:
    """The cells of each codec that were measured here, smallest first."""
    out: dict[str, list[Facts]] = {}
    for cell in sorted(scene.cells, key=lambda cell: cell["bytes"]):
        if cell["status"] == "done":
            out.setdefault(cell["codec"], []).append(cell)
    return out


def average(scenes: Sequence[SceneResults], codec: str) -> list[Facts]:
    """Means over the scenes of every rate point that all of them have, smallest first."""
    tables = [{cell["point"]: cell for cell in measured(scene).get(codec, ())} for scene in scenes]
    if not tables:
        return []
    shared = [point for point in tables[0] if all(point in table for table in tables)]
    means = [{"point": point, **mean([table[point] for table in tables])} for point in shared]
    return sorted(means, key=lambda row: row["bytes"])


def missing(scenes: Sequence[SceneResults], name: str) -> list[str]:
    """The scenes of a data set that are missing: an average without them is no result of the survey."""
    here = {scene.name.lower() for scene in scenes}
    return [scene for scene in SETS[name] if scene not in here]


def mean(cells: Sequence[Facts]) -> Facts:
    """Of every column; None where a cell has no value."""
    columns: dict[str, list[Any]] = {key: [cell.get(key) for cell in cells] for key in _KEYS}
    return {key: None if None in values else float(np.mean(values)) for key, values in columns.items()}


def markdown(scenes: Sequence[SceneResults]) -> str:
    """The averages over each standard data set, and what keeps them out of the survey's table."""
    return "".join(f"{line}\n" for name in SETS for line in _averages(name, scenes))


def _averages(name: str, scenes: Sequence[SceneResults]) -> Iterator[str]:
    inside = [scene for scene in scenes if set_of(scene.name) == name]
    if not inside:
        return
    yield f"### {name}, mean of {len(inside)} of {len(SETS[name])} scenes\n"
    if lost := missing(inside, name):
        yield f"Without {', '.join(lost)} this is no result of the survey, which wants all scenes.\n"
    for reason in sorted({scene.facts["no_lpips"] for scene in inside if scene.facts.get("no_lpips")}):
        yield f"LPIPS was not measured: {reason}.\n"
    yield "| codec | point | bytes | PSNR dB | SSIM | LPIPS | Gaussians |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    original = mean([{**scene.facts, **scene.facts["original"]} for scene in inside])
    yield _row("the original .ply", "", original)
    for codec, cells in measured(inside[0]).items():
        for row in average(inside, codec):
            yield _row(cells[0]["title"], row["point"], row)
    yield ""


def _row(title: str, point: str, row: Facts) -> str:
    scores = ["" if row[key] is None else f"{row[key]:.{places}f}" for key, places in _PLACES.items()]
    return f"| {title} | {point} | {row['bytes']:,.0f} | {' | '.join(scores)} | {row['gaussians']:,.0f} |"


def _rows(cells: Sequence[Facts]) -> Iterator[Sequence[object]]:
    yield COLUMNS
    for number, cell in enumerate(cells):
        name = f"-{cell['point']}" if number in (0, len(cells) - 1) else ""
        scores = ["" if cell.get(key) is None else cell[key] for key in _PLACES]
        yield ["Baseline" if len(cells) == 1 else name, *scores, round(cell["bytes"]), round(cell["gaussians"])]


def _put(path: Path, rows: Iterator[Sequence[object]]) -> Path:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged(path, force=True) as temporary:
        temporary.write_text(stream.getvalue(), "utf-8")
    return path
