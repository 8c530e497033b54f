"""Results as CSV (the layout of the survey 3DGS.zip), JSON and Markdown."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gscompress.atomic import staged
from gscompress.bench import survey
from gscompress.bench.results import (
    Delta,
    Facts,
    Margin,
    SceneResults,
    behind,
    deltas,
    equals,
    exact,
    margins,
    worst_psnr,
)
from gscompress.bench.run import save
from gscompress.bench.standard import set_of

OURS = (
    "Worst PSNR",
    "Worst view",
    "Encode [s]",
    "Decode [s]",
    "Encode CPU [s]",
    "Decode CPU [s]",
    "Peak [MB]",
    "FPS",
    "Load",
)
PRESETS = ("default", "small")
ANCHORS = ("spz", "sog", "gsplat_png")
"""What people use today, each with a table of its own beside our presets."""


def write_all(
    folder: Path, set_name: str, scenes: Sequence[SceneResults], anchor: str, about: Mapping[str, Any]
) -> list[Path]:
    """``results/<set>/<scene>.csv``, ``results.json`` and ``results.md``; returns what was written.

    By the rules of the survey the set is the standard one that a scene belongs to, and tables to hand in are added.
    """
    by_survey = about["rules"]["protocol"] == "3dgs-zip"
    written = survey.write(folder, scenes) if by_survey else []
    for scene in scenes:
        tables = folder / "results" / ((by_survey and set_of(scene.name)) or set_name)
        tables.mkdir(parents=True, exist_ok=True)
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
            "margins": [dataclasses.asdict(one) for ours in PRESETS for one in margins(scenes, ours, ANCHORS)],
            "at_equal_quality": [dataclasses.asdict(one) for one in equals(scenes)],
        },
    )
    averages = survey.markdown(scenes) if by_survey else ""
    _put(written[-1], averages + markdown(scenes, anchor))
    return written


def csv_text(scene: SceneResults) -> str:
    """One row per finished cell; an endless PSNR is written "inf", what is unknown is left empty."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow([*survey.COLUMNS, *OURS])
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
                (cell.get("load") or [""])[0],
            ]
        )
    return stream.getvalue()


def measured_on(scenes: Sequence[SceneResults], machine: Mapping[str, Any]) -> str:
    """One line: processor, versions, and how busy the machine was."""
    loads = sorted(cell["load"][0] for scene in scenes for cell in scene.cells if cell.get("load"))
    busy = f"; load average {loads[0]:.1f} to {loads[-1]:.1f}, median {loads[len(loads) // 2]:.1f}" if loads else ""
    packages = ", ".join(f"{name} {machine[name]}" for name in ("gscompress", "python", "numpy", "numba"))
    return f"Measured on {machine['processor']}, {machine['cores']} cores, {machine['system']}; {packages}{busy}.\n"


def markdown(scenes: Sequence[SceneResults], anchor: str) -> str:
    """Deltas over all scenes, then a table per scene."""
    parts = [
        *_margin_table(scenes),
        *(line for ours in PRESETS for line in _behind_table(scenes, ours)),
        *_delta_table(list(deltas(scenes, anchor)), scenes, anchor),
        *(line for ours in PRESETS for line in _equal_table(scenes, ours)),
    ]
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


def _margin_table(scenes: Sequence[SceneResults]) -> Iterator[str]:
    found = {(one.codec, one.anchor, one.scene): one for ours in PRESETS for one in margins(scenes, ours, ANCHORS)}
    if not found:
        return
    titles = {cell["codec"]: cell["title"] for scene in scenes for cell in scene.cells}
    yield "### Our bytes at the same picture\n"
    yield "BD-rate; where the other has no curve in our range, the mean at its points, and how many those are.\n"
    yield "| | against | " + " | ".join(f"{scene.name}, SH {scene.facts['sh_degree']}" for scene in scenes) + " |"
    yield "|---|---|" + "--:|" * len(scenes)
    for codec, anchor in dict.fromkeys((codec, anchor) for codec, anchor, _ in found):
        values = [found.get((codec, anchor, scene.name)) for scene in scenes]
        yield f"| {titles[codec]} | {titles[anchor]} | {' | '.join(map(_margin, values))} |"
    yield ""


def _margin(one: Margin | None) -> str:
    if one is None:
        return "–"
    count = "" if one.points is None else f" ({one.points} point{'s' * (one.points > 1)})"
    return f"{one.percent:+.1f} %{count}"


def _behind_table(scenes: Sequence[SceneResults], ours: str) -> Iterator[str]:
    if not any(len(scene.curve(ours)) > 1 for scene in scenes):
        return
    rows = list(behind(scenes, ours))
    yield f"### Points above the curve of gscompress {ours}\n"
    if not rows:
        yield "None: it is on or above every point of every other codec on every scene.\n"
        return
    yield "| scene | codec | bytes | PSNR dB | ours in no more bytes |"
    yield "|---|---|--:|--:|--:|"
    for name, cell, reached in rows:
        title = " ".join(filter(None, (cell["title"], cell["point"])))
        psnr = "exact" if exact(cell) else f"{cell['psnr']:.2f}"
        yield f"| {name} | {title} | {cell['bytes']:,} | {psnr} | {'–' if reached is None else f'{reached:.2f}'} |"
    yield ""


def _equal_table(scenes: Sequence[SceneResults], ours: str) -> Iterator[str]:
    rows = list(equals(scenes, ours))
    if not rows:
        return
    yield f"### gscompress {ours} beside every other codec's points\n"
    yield f"<details><summary>{len(rows)} points</summary>\n"
    yield "| scene | codec | bytes | PSNR dB | ours at that PSNR | of its bytes | ours at those bytes |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    for one in rows:
        ours, share = "–", "–"
        if one.our_bytes is not None:
            ours, share = f"{one.our_bytes:,.0f}", f"{100 * one.our_bytes / one.bytes:.0f} %"
        gain = "–" if one.our_psnr is None else f"{one.our_psnr - one.psnr:+.2f} dB"
        name = " ".join(filter(None, (one.codec, one.point)))
        yield f"| {one.scene} | {name} | {one.bytes:,} | {one.psnr:.2f} | {ours} | {share} | {gain} |"
    yield "\nA dash: beyond the ends of our curve, or of what the other reaches.\n\n</details>\n"


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
    columns = "bytes | per Gaussian | smaller | PSNR dB | worst | SSIM | encode s | decode s | peak MB | views/s"
    yield f"| codec | point | {columns} |"
    yield "|---|---|" + "--:|" * 10
    for cell in scene.cells:
        yield _row(cell, facts)
    yield ""
    for cell in scene.failed:
        yield f"Not measured: {' '.join(filter(None, (cell['title'], cell['point'])))}: {cell['error']}.\n"


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
        _text(cell.get("fps"), 1),
    ]
    return f"| {' | '.join(values)} |"


def _text(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def _round(value: float | None, places: int) -> float | str:
    return "" if value is None else round(value, places)


def _put(path: Path, text: str) -> None:
    with staged(path, force=True) as temporary:
        temporary.write_text(text, "utf-8")
