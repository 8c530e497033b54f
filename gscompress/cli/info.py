"""``gscompress info``: what a file holds and, for ``.gscz``, where its bytes went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gscompress.cli import console
from gscompress.cli.options import Json, Source
from gscompress.errors import UnreadableError
from gscompress.ledger import Ledger


def info(source: Source, as_json: Json = False) -> None:
    """Show what a file holds; for .gscz files, the byte ledger."""
    from gscompress import formats
    from gscompress.cli import fields

    if fields.recognised(source):
        fields.info(source, as_json=as_json)
        return
    form = formats.detect(source)
    with console.progress() as log:
        if form.name == "gscz":
            facts, spent = _stored(source)
        else:
            facts, spent = _decoded(form.read(source, log)), None
    size = console.size_of(source)
    facts = {"path": str(source), "format": form.name, "size": size, **facts}
    if as_json:
        ledger = {} if spent is None else {"ledger": spent.to_json()}
        console.emit({**facts, **ledger, "warnings": log.warnings})
        return
    facts["size"] = f"{size:,} bytes"
    if facts["gaussians"]:
        facts["size"] += f", {size / facts['gaussians']:.2f} per Gaussian"
    for name, value in facts.items():
        console.say(f"{name.replace('_', ' ') + ':':12} {_text(value)}")
    if spent is not None:
        show_ledger(spent)


def _stored(source: Path) -> tuple[dict[str, Any], Ledger]:
    """The facts of a .gscz file, without decoding it."""
    from gscompress.codecs import gscz
    from gscompress.container.reader import Reader, ledger

    try:
        reader = Reader.open(source)
        known = gscz.facts(reader)
        spent = ledger(reader, known.gaussians)
        stored = gscz.stored_gaussians(reader, known.codec)
    except UnreadableError as error:
        raise type(error)(f"{source}: {error}") from error
    facts = {
        "gaussians": known.gaussians,
        "stored": stored,
        "sh_degree": known.sh_degree,
        "frame": known.frame.axes,
        "model": known.model,
        "codec": repr(known.codec),
        "recipe": known.recipe,
        "writer": known.writer,
        "version": ".".join(map(str, reader.version)),
        "levels": 1 + max(p.level for p in reader.placed),
        "cut_off": reader.truncated,
        "meta": known.meta,
    }
    return facts, spent


def _decoded(scene: Any) -> dict[str, Any]:
    splats = scene.splats
    facts = {
        "gaussians": len(scene),
        "sh_degree": splats.sh_degree,
        "frame": scene.frame.axes,
        "model": scene.model,
        "extras": sorted(splats.extras),
        "meta": dict(scene.meta),
    }
    if len(scene):
        low, high = splats.means.min(0).tolist(), splats.means.max(0).tolist()
        facts["bounds"] = [[_finite(v) for v in corner] for corner in (low, high)]
    return facts


def _finite(value: float) -> float | str:
    """JSON has no NaN and no infinity."""
    return round(value, 6) if abs(value) < float("inf") else str(value)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def show_ledger(spent: Ledger) -> None:
    """Where the bytes went, as tables on stdout: by attribute, and by level where there are several."""

    def row(name: str, size: int) -> list[str]:
        share = 100 * size / spent.total
        return [name, f"{size:,}", f"{share:.1f} %", f"{spent.bits_per_gaussian(size):.2f}"]

    columns = ["bytes", "share", "bits per Gaussian"]
    attributes = [row(name, size) for name, size in spent.by_attribute().items()]
    console.table(["attribute", *columns], [*attributes, row("total", spent.total)])
    levels = spent.by_level()
    if len(levels) > 1:
        console.table(["level", *columns], [row(str(level), size) for level, size in sorted(levels.items())])
