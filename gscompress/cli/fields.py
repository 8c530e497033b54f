"""The verbs on radiance fields: called by the verbs of the same names when the input holds one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gscompress.camera import Camera
from gscompress.cli import console
from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.field import Field

if TYPE_CHECKING:
    from gscompress.codecs.field_codec import FieldCodec
    from gscompress.container.reader import Reader

JUDGED = (24, 50, 50)
"""Generated views that a field is compressed by, and their size: rays are drawn from them."""
RAYS = {
    "mlp": (4096, 768),
    "hash_grid": (65536, 6144),
    "planes": (32768, 6144),
    "voxels": (65536, 6144),
    "feature_voxels": (65536, 6144),
}
"""Rays that sensitivities and errors are measured with: a table of many entries needs many to be seen at all."""
MOST_PIXELS = 2_000_000
"""Of all views of a dataset together: larger ones are looked at from the same places at a smaller size."""


def recognised(path: Path) -> bool:
    """Whether a file holds a radiance field: a .gscz of one, or a checkpoint or npz of a known layout."""
    from gscompress.formats.fields import holds_field

    if path.suffix.lower() == ".gscz" or not path.is_file():
        return path.is_file() and _open(path) is not None
    return holds_field(path)


def read(path: Path, log: EventLog) -> Field:
    """Read a field from either. Raises UnreadableError, MissingExtraError."""
    from gscompress.codecs import field_gscz
    from gscompress.formats.fields import read_field

    if path.suffix.lower() != ".gscz":
        return read_field(path, log)
    return _named(path, lambda: field_gscz.decode(_reader(path), log))


def views(field: Field, wish: str, size: tuple[int, int] | None) -> list[Camera]:
    """The cameras of ``--cameras`` for a field: a file or dataset, or generated. Raises UsageError, UnreadableError."""
    from gscompress.cli.cameras import DEFAULT_COUNT, GENERATED, HELD_OUT, refit
    from gscompress.datasets import load_cameras
    from gscompress.field_views import generate

    found = GENERATED.fullmatch(wish)
    if found and not Path(wish).exists():
        width, height = size or (200, 200)
        return generate(field, int(found[2] or DEFAULT_COUNT), width, height, seed=HELD_OUT)
    cameras = load_cameras(wish)
    return cameras if size is None else [refit(camera, *size) for camera in cameras]


def backdrop(field: Field, colour: tuple[float, float, float]) -> tuple[float, float, float]:
    """White for fields that were trained before white, unless another colour than black was asked for."""
    return (1.0, 1.0, 1.0) if field.spec.geometry.get("white") and not any(colour) else colour


def compress(
    source: Path,
    target: Path,
    *,
    preset: str,
    quality: float | None,
    tune: float | None,
    cameras: Path | None,
    as_json: bool,
    force: bool,
    unused: dict[str, Any],
) -> None:
    """Compress a field; ``unused`` are options that only splats have."""
    from gscompress.atomic import staged
    from gscompress.codecs import field_gscz
    from gscompress.codecs.field_codec import FieldContext
    from gscompress.codecs.field_codecs import codec_for

    for name, value in unused.items():
        if value:
            raise UsageError(f"{source.name} holds a radiance field: {name} is for splats")
    with console.progress() as log:
        field = read(source, log)
        codec = with_options(codec_for(field, preset), quality, tune)
        started = time.perf_counter()
        ctx = FieldContext(log=log, judge=judge(field, cameras, photos=tune is not None, log=log))
        with staged(target, force=force) as temporary, temporary.open("wb") as stream:
            size = field_gscz.encode(stream, field, codec, ctx)
        seconds = time.perf_counter() - started
    before, weights = console.size_of(source), 4 * field.weights
    if as_json:
        facts = {"input": str(source), "output": str(target), "input_bytes": before, "output_bytes": size}
        ratios = {"weight_bytes": weights, "ratio": round(before / size, 3), "weight_ratio": round(weights / size, 3)}
        ledger = {"ledger": _ledger(_reader(target), field.weights)}
        codec_facts = {"codec": _reader(target).header["codec"], "kind": field.spec.kind, "weights": field.weights}
        console.emit(
            {**facts, **ratios, **codec_facts, "seconds": round(seconds, 3), **ledger, "warnings": log.warnings}
        )
        return
    console.say(
        f"{source.name} {console.size_text(before)} ({console.size_text(weights)} of weights) → {target.name} "
        f"{console.size_text(size)} ({weights / size:.1f} times smaller than the weights, {seconds:.1f} s)"
    )


def decompress(source: Path, target: Path, *, as_json: bool, force: bool) -> None:
    """Decode a .gscz into the checkpoint that the field's own software loads."""
    from gscompress.formats.fields import write_field

    with console.progress() as log:
        started = time.perf_counter()
        field = read(source, log)
        decoded = time.perf_counter() - started
        write_field(field, target, force=force)
    sizes = {"input_bytes": console.size_of(source), "output_bytes": console.size_of(target)}
    if as_json:
        facts = {"input": str(source), "output": str(target), "weights": field.weights, **sizes}
        console.emit({**facts, "decode_seconds": round(decoded, 3), "warnings": log.warnings})
        return
    before, after = (console.size_text(size) for size in sizes.values())
    console.say(f"{source.name} {before} → {target.name} {after} ({_what(field)}, decoded in {decoded:.2f} s)")


def info(source: Path, *, as_json: bool) -> None:
    """What a field file holds; for .gscz the byte ledger."""
    from gscompress.codecs import field_gscz

    facts: dict[str, Any] = {"path": str(source), "size": console.size_of(source)}
    ledger = None
    with console.progress() as log:
        if source.suffix.lower() == ".gscz":
            reader = _reader(source)
            known = _named(source, lambda: field_gscz.facts(reader))
            ledger = _ledger(reader, known.weights)
            spec, count, tensors, meta = known.spec, known.weights, len(known.shapes), known.meta
            facts |= {"codec": repr(known.codec), "writer": known.writer}
        else:
            field = read(source, log)
            spec, count, tensors, meta = field.spec, field.weights, len(field.tensors), dict(field.meta)
    facts |= {"field": spec.kind, "source": spec.source, "weights": count, "tensors": tensors}
    facts |= {"geometry": dict(spec.geometry), "meta": meta}
    if as_json:
        console.emit({**facts, **({"ledger": ledger} if ledger else {}), "warnings": log.warnings})
        return
    for name, value in facts.items():
        console.say(f"{name + ':':12} {f'{value:,}' if isinstance(value, int) else value}")
    if ledger:
        rows = [[n, f"{b:,}", f"{100 * b / facts['size']:.1f} %"] for n, b in ledger["bytes_per_attribute"].items()]
        console.table(["stream", "bytes", "share"], rows)


def verify(source: Path, *, as_json: bool) -> None:
    """Check the checksums of a .gscz and decode the field."""
    checks = ["decodes"]
    started = time.perf_counter()
    with console.progress() as log:
        if source.suffix.lower() == ".gscz":
            checks = ["checksums", "index", "decodes"]
            _named(source, lambda: _reader(source).check())
        field = read(source, log)
    seconds = round(time.perf_counter() - started, 3)
    facts = {"path": str(source), "field": field.spec.kind, "ok": True, "checks": checks, "weights": field.weights}
    if as_json:
        console.emit({**facts, "seconds": seconds, "warnings": log.warnings})
        return
    console.say(f"{source}: ok ({', '.join(checks)}; {_what(field)}, {seconds:.2f} s)")


def _what(field: Field) -> str:
    return f"{field.spec.kind} field of {field.weights:,} weights"


def judge(field: Field, cameras: Path | None, *, photos: bool, log: EventLog) -> Any:
    """Renders from the given or from generated cameras; with ``photos``, those of the dataset where it has any."""
    from gscompress.datasets import load_cameras, load_views
    from gscompress.field_views import generate
    from gscompress.renderers.field_judge import FieldJudge

    rays, trials = RAYS[field.spec.kind]
    if cameras is None:
        return FieldJudge(generate(field, *JUDGED), rays=rays, trials=trials)
    chosen = load_cameras(cameras, "train")
    scale = min(1.0, (MOST_PIXELS / sum(c.width * c.height for c in chosen)) ** 0.5)
    if photos:
        try:
            views = load_views(cameras, width=max(16, round(scale * chosen[0].width)), log=log)
        except UnreadableError as error:
            log.warn(f"{error}: tuned against the field's own pictures")
        else:
            train = [view for view in views if view.split == "train"]
            pictures = [view.image for view in train]
            return FieldJudge([view.camera for view in train], photos=pictures, rays=rays, trials=trials)
    smaller = [c.resized(max(1, round(c.width * scale)), max(1, round(c.height * scale))) for c in chosen]
    return FieldJudge(smaller, rays=rays, trials=trials)


def with_options(codec: FieldCodec, quality: float | None, tune: float | None) -> FieldCodec:
    given = {"quality": quality, "tune": tune}
    options = {name: float(value) for name, value in given.items() if value is not None}
    if quality is not None and not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g} is out of range: give 0 (smallest) to 100 (best)")
    if tune is not None and not (hasattr(codec, "tune") and 0 <= tune < 1e6):
        raise UsageError(f"the {codec.name} codec cannot be tuned for {tune:g} seconds")
    return replace(codec, **options)  # type: ignore[type-var]


def _open(path: Path) -> Reader | None:
    from gscompress.codecs import field_gscz

    try:
        reader = _reader(path)
    except UnreadableError:
        return None  # whoever reads it as splats says what is wrong
    return reader if field_gscz.holds_field(reader) else None


def _reader(path: Path) -> Reader:
    from gscompress.container.reader import Reader

    return _named(path, lambda: Reader.open(path))


def _ledger(reader: Reader, weights: int) -> dict[str, Any]:
    from gscompress.container.reader import ledger

    spent = ledger(reader, 0)
    return {
        "total_bytes": spent.total,
        "bits_per_weight": round(8 * spent.total / max(weights, 1), 4),
        "bytes_per_attribute": spent.by_attribute(),
    }


def _named(path: Path, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except UnreadableError as error:
        raise error if str(error).startswith(str(path)) else type(error)(f"{path}: {error}") from error
