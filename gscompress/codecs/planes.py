"""VM planes: planes by ``plane_blocks``, lines and networks by ``matrices``, everything by one price of error.

Sensitivities come from sign probes through the renderer (``field_statistics``). Planes, lines and networks are each
scaled until their share of the pictures' error is what they are given of it, then all together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gscompress.codecs import bit_arrays, matrices, plane_blocks
from gscompress.codecs.error_shares import ErrorShares
from gscompress.codecs.field_codec import FieldCodec, FieldContext, Shapes
from gscompress.codecs.matrices import F64, Quantized
from gscompress.codecs.mlp import augmented, augmented_shape, layer_names, separated
from gscompress.codecs.plane_blocks import Blocks
from gscompress.container.chunk import Chunk
from gscompress.errors import UnreadableError, UsageError
from gscompress.field import Array, Field, Spec
from gscompress.field_statistics import Statistics

_SHARES = {"planes": 0.8, "lines": 0.1, "networks": 0.1}
_Part = Blocks | Quantized


@dataclass(frozen=True)
class PlanesCodec(FieldCodec):
    """quality: aims at 20 + 0.4 quality dB against the original's own pictures (45: 38 dB), or, where the judge has
    photos, at so much more squared error against them."""

    name: ClassVar[str] = "planes"
    version: ClassVar[int] = 1
    cites: ClassVar[str] = "Rho et al. 2023 (masked wavelets); Lee et al. 2023 (ECRF)"
    handles: ClassVar[frozenset[str]] = frozenset({"planes"})
    quality: float = 45.0

    def encode(self, field: Field, ctx: FieldContext) -> Iterator[Chunk]:
        names = _names({n: (a.dtype.name, a.shape) for n, a in field.tensors.items()})
        parts = _Parts(field, ctx, names).run(10 ** (-self.aim / 10))
        planes = [p for p in (parts[n] for n in names["planes"]) if isinstance(p, Blocks)]
        small = [p for p in (parts[n] for n in names["lines"] + names["networks"]) if isinstance(p, Quantized)]
        streams = plane_blocks.encode(planes, [field.tensors[n].shape for n in names["planes"]])
        streams |= matrices.encode(small)
        if "occupancy" in field.tensors:
            streams["occupancy"] = bit_arrays.pack(field.tensors["occupancy"])
        yield Chunk("BASE", 0, streams)

    def decode(self, spec: Spec, shapes: Shapes, chunks: Iterable[Chunk]) -> dict[str, Array]:
        names = _names(shapes)
        out: dict[str, Array] = {}
        for chunk in chunks:
            sizes = [shapes[name][1] for name in names["planes"]]
            for name, plane in zip(names["planes"], plane_blocks.decode(chunk.streams, sizes)):
                out[name] = plane.values(shapes[name][1])
            sides = [(shapes[n][1][1], shapes[n][1][0]) for n in names["lines"]]
            sides += [augmented_shape(shapes, name) for name in names["networks"]]
            whole = matrices.decode(chunk.streams, sides)
            for name, matrix in zip(names["lines"] + names["networks"], whole):
                out.update(_separated(shapes, name, matrix))
            if "occupancy" in shapes:
                out["occupancy"] = bit_arrays.unpack(chunk.streams["occupancy"], shapes["occupancy"][1])
        return out


def _names(shapes: Mapping[str, Any]) -> dict[str, list[str]]:
    """Tensors by how they are coded. Raises UsageError for others, UnreadableError for impossible shapes."""
    planes, lines = ([n for n in shapes if f".{part}." in n] for part in ("plane", "line"))
    networks = layer_names({n: 0 for n in shapes if n not in planes + lines})
    known = {*planes, *lines, "occupancy", *(f"{n}.{part}" for n in networks for part in ("weight", "bias"))}
    if set(shapes) - known:
        raise UsageError(f"the planes codec has no place for {', '.join(sorted(set(shapes) - known))}")
    for names, sides in ((planes, 3), (lines, 2)):
        if any(len(shapes[n][1]) != sides or 0 in shapes[n][1] or shapes[n][0] != "float32" for n in names):
            raise UnreadableError("a plane or line has an impossible shape: the file is corrupt")
    return {"planes": planes, "lines": lines, "networks": networks}


def _separated(shapes: Mapping[str, Any], name: str, matrix: Quantized) -> dict[str, Array]:
    values = matrix.values()
    return {name: np.ascontiguousarray(values.T)} if name in shapes else separated(shapes, name, values)


class _Parts(ErrorShares[_Part]):
    """Rounds planes, lines and networks at costs of their own."""

    def __init__(self, field: Field, ctx: FieldContext, names: Mapping[str, list[str]]) -> None:
        super().__init__(field, ctx, names, _SHARES)
        self._statistics = _blind(field, names) if ctx.judge is None else ctx.judge.statistics(field, ctx.log)

    def _rounded(self, costs: Mapping[str, float]) -> dict[str, _Part]:
        tensors, known = self._field.tensors, self._statistics
        out: dict[str, _Part] = {}
        for group, cost in costs.items():
            step = (12 * cost) ** 0.5
            for name in self._groups[group]:
                if group == "planes":
                    out[name] = plane_blocks.quantize(tensors[name], known.squares[name], cost)
                elif group == "lines":
                    out[name] = matrices.quantize(tensors[name].T, step, *_line_weights(known.squares[name]))
                else:
                    moments, rows = known.moments.get(name), known.rows.get(name)
                    out[name] = matrices.quantize(augmented(tensors, name), step, moments, rows)
        return out

    def _decoded(self, parts: Mapping[str, _Part]) -> Field:
        tensors = dict(self._field.tensors)
        for name, part in parts.items():
            if isinstance(part, Blocks):
                tensors[name] = part.values(tensors[name].shape)
            else:
                tensors.update(_separated(tensors, name, part))
        return Field(tensors, self._field.spec)


def _line_weights(squares: F64) -> tuple[F64, F64]:
    """What an error of a line (N, R) costs, as a matrix's columns N and rows R: a product of both."""
    mean = max(float(squares.mean()), 1e-30)
    return np.diag(squares.mean(1) + 1e-3 * mean), np.maximum(squares.mean(0) / mean, 1e-3)


def _blind(field: Field, names: Mapping[str, list[str]]) -> Statistics:
    """Without pictures: every value of a feature counts the same, in units of its spread."""
    squares = {}
    for name in names["planes"] + names["lines"]:
        values = field.tensors[name]
        spread = values.reshape(-1, values.shape[-1]).var(0)
        squares[name] = np.broadcast_to(1 / np.maximum(spread, 1e-12), values.shape).astype(np.float64)
    return Statistics({}, {}, squares)
