"""``gscompress bench`` on radiance fields: called by the verb when the scenes are fields."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields as columns_of
from pathlib import Path
from typing import Any

from gscompress.atomic import staged
from gscompress.bench import machine
from gscompress.bench.fields import QUALITIES, Row, measure
from gscompress.cli import console, fields
from gscompress.errors import UsageError
from gscompress.events import EventLog

VIEWS = (6, 128, 128)
"""Generated views that judge, which are not those that fields are compressed by, and their size."""


def bench(
    scenes: Sequence[Path],
    out: Path,
    *,
    codecs: str | None,
    cameras: Path | None,
    data: Path | None,
    size: tuple[int, int] | None,
    as_json: bool,
    unused: Mapping[str, Any],
) -> None:
    """Measure fields; ``unused`` are options that only splats have. Raises UsageError."""
    for name, value in unused.items():
        if value:
            raise UsageError(f"these scenes are radiance fields: {name} is for splats")
    if data is not None and cameras is not None:
        raise UsageError("--data brings its own cameras: leave out --cameras")
    qualities = _qualities(codecs)
    found: dict[str, list[Row]] = {}
    out.mkdir(parents=True, exist_ok=True)
    with console.progress() as log:
        for path in scenes:
            found[path.stem] = _one(path, cameras, data, size, qualities, log)
            _write(out / path.stem, path, found[path.stem])
    if as_json:
        told = {name: [row.to_json() for row in rows] for name, rows in found.items()}
        console.emit({"folder": str(out), "scenes": told, "warnings": log.warnings})
        return
    for name, rows in found.items():
        console.say(name)
        table = [
            [
                r.codec,
                r.point,
                f"{r.bytes:,}",
                f"{r.ratio:.1f}",
                f"{r.psnr:.2f}",
                f"{r.worst:.2f}",
                "" if r.photo is None else f"{r.photo:.2f}",
                f"{r.encode_seconds:.1f}",
                f"{r.decode_seconds:.1f}",
            ]
            for r in rows
        ]
        heads = ["codec", "point", "bytes", "ratio", "PSNR dB", "worst", "photos dB", "encode s", "decode s"]
        console.table(heads, table, words=2)


def _one(
    path: Path,
    cameras: Path | None,
    data: Path | None,
    size: tuple[int, int] | None,
    qualities: Sequence[float],
    log: EventLog,
) -> list[Row]:
    from gscompress.cli.cameras import HELD_OUT, refit
    from gscompress.cli.eval import held_out
    from gscompress.datasets import load_cameras
    from gscompress.field_views import generate
    from gscompress.renderers.volume import VolumeRenderer

    field = fields.read(path, log)
    judge = fields.judge(field, data if data is not None else cameras, photos=False, log=log)
    photos = [] if data is None else held_out(data, size, fields.backdrop(field, (0, 0, 0)), log)
    if photos:
        chosen = [view.camera for view in photos]
    elif cameras is not None:
        chosen = load_cameras(cameras, "test") or load_cameras(cameras)
        chosen = chosen if size is None else [refit(camera, *size) for camera in chosen]
    else:
        count, *generated = VIEWS
        chosen = generate(field, count, *(size or generated), seed=HELD_OUT)
    engine = VolumeRenderer()
    return measure(
        field, judge, chosen, lambda f, c: engine.render(f, c).rgb, photos=photos, qualities=qualities, log=log
    )


def _qualities(codecs: str | None) -> Sequence[float]:
    """``q30+q45`` as numbers. Raises UsageError."""
    if codecs is None:
        return QUALITIES
    try:
        found = [float(part.removeprefix("q")) for part in codecs.split("+")]
    except ValueError:
        found = []
    if not found or not all(0 <= quality <= 100 for quality in found):
        raise UsageError(f"--codecs {codecs}: of fields give qualities such as q30+q45")
    return found


def _write(stem: Path, path: Path, rows: Sequence[Row]) -> None:
    """STEM.csv and STEM.json."""
    names = [column.name for column in columns_of(Row)]
    with staged(stem.with_name(f"{stem.name}.csv"), force=True) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        writer.writerows([getattr(row, name) for name in names] for row in rows)
    told = {"source": str(path), "machine": machine.describe(), "rows": [row.to_json() for row in rows]}
    with staged(stem.with_name(f"{stem.name}.json"), force=True) as temporary:
        temporary.write_text(json.dumps(told, indent=1))
