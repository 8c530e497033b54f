"""Results as CSV (the layout of the survey 3DGS.zip), JSON and Markdown."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gscompress.atomic import staged
from gscompress.bench.results import Delta, Facts, SceneResults, deltas, equals, worst_psnr
from gscompress.bench.run import save

SURVEY = ("Submethod", "PSNR", "SSIM", "LPIPS", "Size [Bytes]", "#Gaussians")
OURS = (
    "Worst PSNR",
    "Worst view",
    "Encode [s]",
    "Decode [s]",
    "Encode CPU [s]",
    "Decode CPU [s]",
    "Peak [MB]",
    "FPS",
)


def write_all(
    folder: Path, set_name: str, scenes: Sequence[SceneResults], anchor: str, about: Mapping[str, Any]
) -> list[Path]:
    """``results/<set>/<scene>.csv``, ``results.json`` and ``results.md``; returns what was written."""
    tables = folder / "results" / set_name
    tables.mkdir(parents=True, exist_ok=True)
    written = []
    for scene in scenes:
        written.append(tables / f"{scene.name}.csv")
        _put(written[-1], csv_text(scene))
    found = list(deltas(scenes, anchor))
    written += [folder / "results.json", folder / "results.md"]
    save(
        written[-2],
        {
            **about,
            "anchor": anchor,
            "scenes": [scene.facts for scene in scenes],
            "cells": [cell for scene in scenes for cell in (*scene.cells, *scene.failed)],
            "bd": [dataclasses.asdict(delta) for delta in found],
            "at_equal_quality": [dataclasses.asdict(one) for one in equals(scenes)],
        },
    )
    _put(written[-1], markdown(scenes, anchor))
    return written


def csv_text(scene: SceneResults) -> str:
    """One row per finished cell; an endless PSNR is written "inf", what is unknown is left empty."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow([*SURVEY, *OURS])
    for cell in scene.cells:
        encode, decode = cell.get("encode", {}), cell.get("decode", {})
        peaks = [cost["peak_mb"] for cost in (encode, decode) if cost.get("peak_mb")]
        table.writerow(
            [
                " ".join(filter(None, (cell["title"], cell["point"]))),
                "inf" if cell["identical"] else _round(cell["psnr"], 4),
                _round(cell.get("ssim"), 5),
                _round(cell.get("lpips"), 5),
                cell["bytes"],
                cell.get("gaussians", ""),
                "inf" if cell["identical"] else _round(worst_psnr(cell), 4),
                (cell.get("worst") or {}).get("view", ""),
                *(_round(cost.get("seconds"), 3) for cost in (encode, decode)),
                *(_round(cost.get("cpu_seconds"), 3) for cost in (encode, decode)),
                _round(max(peaks, default=None), 0),
                _round(cell.get("fps"), 2),
            ]
        )
    return stream.getvalue()


def markdown(scenes: Sequence[SceneResults], anchor: str) -> str:
    """Deltas over all scenes, then a table per scene."""
    parts = [*_delta_table(list(deltas(scenes, anchor)), scenes, anchor), *_equal_table(scenes)]
    for scene in scenes:
        parts += _scene_table(scene)
    return "\n".join(parts).rstrip() + "\n"


def _delta_table(found: Sequence[Delta], scenes: Sequence[SceneResults], anchor: str) -> Iterator[str]:
    if not found:
        return
    titles = {cell["codec"]: cell["title"] for scene in scenes for cell in scene.cells}
    by_codec: dict[str, dict[str, Delta]] = {}
    for delta in found:
        by_codec.setdefault(delta.codec, {})[delta.scene] = delta
    names = [scene.name for scene in scenes if any(delta.scene == scene.name for delta in found)]
    yield f"### BD-rate against {titles.get(anchor, anchor)}\n"
    yield "Bytes at the same PSNR, mean over the range that both curves cover (in brackets BD-PSNR in dB).\n"
    yield "| | " + " | ".join(names) + " |"
    yield "|---|" + "--:|" * len(names)
    for codec, row in by_codec.items():
        yield f"| {titles[codec]} | " + " | ".join(_delta(row.get(name)) for name in names) + " |"
    yield ""


def _delta(delta: Delta | None) -> str:
    if delta is None or delta.bd_rate is None:
        return "–"
    gain = "" if delta.bd_psnr is None else f" ({delta.bd_psnr:+.2f})"
    return f"{delta.bd_rate:+.1f} %{gain}"


def _equal_table(scenes: Sequence[SceneResults]) -> Iterator[str]:
    rows = list(equals(scenes))
    if not rows:
        return
    yield "### gscompress default beside every other codec's points\n"
    yield "| scene | codec | bytes | PSNR dB | ours at that PSNR | of its bytes | ours at those bytes |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    for one in rows:
        ours, share = "–", "–"
        if one.our_bytes is not None:
            ours, share = f"{one.our_bytes:,.0f}", f"{100 * one.our_bytes / one.bytes:.0f} %"
        gain = "–" if one.our_psnr is None else f"{one.our_psnr - one.psnr:+.2f} dB"
        name = " ".join(filter(None, (one.codec, one.point)))
        yield f"| {one.scene} | {name} | {one.bytes:,} | {one.psnr:.2f} | {ours} | {share} | {gain} |"
    yield "\nA dash: beyond the ends of our curve, or of what the other reaches.\n"


def _scene_table(scene: SceneResults) -> Iterator[str]:
    facts = scene.facts
    width, height = facts["picture_size"]
    yield f"### {scene.name}\n"
    note = f" {facts['note']}" if facts["note"] else ""
    yield (
        f"{facts['gaussians']:,} Gaussians, SH {facts['sh_degree']}, {facts['bytes']:,} bytes as .ply; "
        f"{facts['views']} views of {width}x{height}.{note}\n"
    )
    if facts.get("original"):
        yield f"The original against the photos: {facts['original']['psnr']:.2f} dB.\n"
    yield "| codec | point | bytes | per Gaussian | smaller | PSNR dB | worst | SSIM | encode s | decode s | peak MB |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for cell in scene.cells:
        yield _row(cell, facts)
    for cell in scene.failed:
        yield f"| {cell['title']} | {cell['point']} | {cell['status']} | | | | | | | | |"
    yield ""


def _row(cell: Facts, facts: Facts) -> str:
    encode, decode, size = cell.get("encode", {}), cell.get("decode", {}), cell["bytes"]
    peak = max((cost["peak_mb"] for cost in (encode, decode) if cost.get("peak_mb")), default=None)
    endless = cell["identical"]
    values = [
        f"**{cell['title']}**" if cell["ours"] else cell["title"],
        cell["point"],
        f"{size:,}",
        f"{size / max(facts['gaussians'], 1):.2f}",
        f"{facts['bytes'] / size:.1f}x",
        "identical" if endless else f"{cell['psnr']:.2f}",
        "" if endless or worst_psnr(cell) is None else f"{worst_psnr(cell):.2f}",
        _text(cell.get("ssim"), 4),
        _text(encode.get("seconds"), 1),
        _text(decode.get("seconds"), 1),
        _text(peak, 0),
    ]
    return f"| {' | '.join(values)} |"


def _text(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def _round(value: float | None, places: int) -> float | str:
    return "" if value is None else round(value, places)


def _put(path: Path, text: str) -> None:
    with staged(path, force=True) as temporary:
        temporary.write_text(text, "utf-8")
