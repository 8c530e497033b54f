"""From field to ``.gscz`` and back: joins a field, its codec and the container."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from gscompress.codecs.field_codec import FieldCodec, FieldContext, Shapes
from gscompress.codecs.field_codecs import FIELD_CODECS
from gscompress.codecs.gscz import build, damage_reported
from gscompress.config import to_config
from gscompress.container import writer
from gscompress.container.reader import Reader
from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.field import Array, Field, Spec

_FREE_BYTES, _MAX_RATIO = 384 << 20, 4096  # a file may unpack to the first, or to the second times its size
_TYPES = {"float32": np.float32, "bool": np.bool_, "int32": np.int32}
_MOST_TENSORS = 4096


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """What HEAD says of a field, checked."""

    spec: Spec
    shapes: Shapes
    meta: dict[str, Any]
    codec: FieldCodec
    writer: str

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded tensors."""
        return sum(math.prod(shape) * np.dtype(_TYPES[kind]).itemsize for kind, shape in self.shapes.values())

    @property
    def weights(self) -> int:
        """Floats in the decoded field."""
        return sum(math.prod(shape) for kind, shape in self.shapes.values() if kind == "float32")


def encode(stream: BinaryIO, field: Field, codec: FieldCodec, ctx: FieldContext) -> int:
    """Write a field to ``stream``; returns the size in bytes."""
    from gscompress import __version__

    field = codec.prepare(field, ctx)
    tensors = [[name, a.dtype.name, list(a.shape)] for name, a in field.tensors.items()]
    described = {"kind": field.spec.kind, "source": field.spec.source, "geometry": dict(field.spec.geometry)}
    header = {
        "writer": f"gscompress {__version__}",
        "field": {**described, "tensors": tensors, "meta": json.loads(json.dumps(dict(field.meta), default=str))},
        "codec": {"name": codec.name, "version": codec.version, "config": to_config(codec)},
    }
    return writer.write(stream, header, codec.encode(field, ctx))


def holds_field(reader: Reader) -> bool:
    """Whether the file holds a field, and not splats."""
    return "field" in reader.header


def facts(reader: Reader) -> FieldFacts:
    """Interpret HEAD. Raises UnreadableError."""
    try:
        stored, codec = reader.header["field"], reader.header["codec"]
        spec = Spec(stored["kind"], str(stored["source"]), dict(stored["geometry"]))
        shapes = _shapes(stored["tensors"])
        built = build(FIELD_CODECS, "field codec", str(codec["name"]), codec["version"], codec["config"])
        known = FieldFacts(spec, shapes, dict(stored["meta"]), built, str(reader.header.get("writer", "")))
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise UnreadableError(f"the header is incomplete or malformed ({error}): the file is corrupt") from None
    if known.nbytes > max(_FREE_BYTES, _MAX_RATIO * reader.size):
        raise UnreadableError(f"claims a field of {known.nbytes:,} bytes: refused as corrupt or a decompression bomb")
    return known


def decode(reader: Reader, log: EventLog) -> Field:
    """The field. Raises UnreadableError."""
    known = facts(reader)
    if reader.truncated:
        log.warn("the file is cut off: decoded to its last complete level")
    with damage_reported(known.codec.name):
        tensors = known.codec.decode(known.spec, known.shapes, reader.chunks(known.codec.kinds))
    _check(tensors, known.shapes)
    return Field({name: tensors[name] for name in known.shapes}, known.spec, known.meta)


def _shapes(table: Any) -> Shapes:
    out: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, kind, shape in table:
        whole = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 40 for n in shape)
        if not isinstance(name, str) or kind not in _TYPES or not whole or len(shape) > 6:
            raise ValueError(f"impossible tensor {name!r:.60}")
        out[name] = kind, tuple(shape)
    if len(out) != len(table) or len(out) > _MOST_TENSORS:
        raise ValueError("tensors repeat, or are too many")
    return out


def _check(tensors: Mapping[str, Array], shapes: Shapes) -> None:
    for name, (kind, shape) in shapes.items():
        if name not in tensors or tensors[name].shape != shape or tensors[name].dtype.name != kind:
            raise UnreadableError(f"the tensor '{name}' is missing or has another shape: the file is corrupt")
