"""Voxels of features with a colour network (DVGO): pruned, rounded towards their neighbours, networks by ``matrices``.

What ``voxels`` does to densities and base colours is done to every column here: voxels whose removal costs least go,
a column has a step by its mean sensitivity, and what matters little follows the voxels just before it in Morton order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gscompress.codecs import bit_arrays, matrices
from gscompress.codecs.error_shares import ErrorShares
from gscompress.codecs.field_codec import FieldCodec, FieldContext, Shapes
from gscompress.codecs.matrices import Quantized
from gscompress.codecs.mlp import augmented, augmented_shape, layer_names, separated
from gscompress.codecs.tables import quarter_octaves
from gscompress.codecs.voxels import (
    BITS,
    COARSER,
    F64,
    I64,
    LARGEST,
    PRICE,
    neighbourhood,
    pack_cells,
    quarters,
    spread_around,
    unpack_cells,
    without,
)
from gscompress.container.chunk import Chunk
from gscompress.entropy.neighbours import nearest_earlier
from gscompress.entropy.octree import morton_order
from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError, UsageError
from gscompress.field import Array, Field, Spec
from gscompress.field_statistics import Judge, Statistics
from gscompress.quant.follow import differences, follow, undo

_PRUNED = 0.3  # of the error is for pruning
_SHARES = {"voxels": 0.85, "networks": 0.15}  # of the rest
_TRIALS, _RANGE = 7, 24.0  # of pruning: halvings of so many octaves of predicted error, around the allowed one
_MOST_COLUMNS = 256
_NAMES = frozenset({"mask", "density", "features", "occupancy"})


@dataclass(frozen=True)
class FeatureVoxelsCodec(FieldCodec):
    """quality: aims at 20 + 0.4 quality dB against the original's own pictures (47.5: 39 dB)."""

    name: ClassVar[str] = "feature_voxels"
    version: ClassVar[int] = 1
    cites: ClassVar[str] = "Li et al. 2023 (VQRF)"
    handles: ClassVar[frozenset[str]] = frozenset({"feature_voxels"})
    quality: float = 47.5

    def prepare(self, field: Field, ctx: FieldContext) -> Field:
        """The field without the voxels whose removal costs least."""
        if ctx.judge is None:
            return field
        return _pruned(field, ctx.judge, ctx.judge.statistics(field, ctx.log), _PRUNED * 10 ** (-self.aim / 10))

    def encode(self, field: Field, ctx: FieldContext) -> Iterator[Chunk]:
        tensors = field.tensors
        layers = layer_names(tensors)
        more = set(tensors) - _NAMES - {f"{name}.{part}" for name in layers for part in ("weight", "bias")}
        if more:
            raise UsageError(f"the feature_voxels codec has no place for {', '.join(sorted(more))}")
        if max(tensors["mask"].shape) > 1 << BITS or tensors["features"].shape[1] >= _MOST_COLUMNS:
            raise UsageError("the feature_voxels codec holds grids of at most 1024 cells a side and 255 features")
        parts = _Parts(field, ctx, layers)
        chosen = parts.run(10 ** (-self.aim / 10) * (1 - _PRUNED))
        streams = pack_cells(parts.cells) | _pack_rows(chosen.pop("voxels"), parts.near)
        streams |= matrices.encode([part for part in chosen.values() if isinstance(part, Quantized)])
        yield Chunk("BASE", 0, streams | {"occupancy": bit_arrays.pack(tensors["occupancy"])})

    def decode(self, spec: Spec, shapes: Shapes, chunks: Iterable[Chunk]) -> dict[str, Array]:
        (count,), rows = shapes["density"][1], shapes["features"][1]
        if len(rows) != 2 or rows[0] != count or not 0 < rows[1] < _MOST_COLUMNS:
            raise UnreadableError("features and densities are not of the same voxels: the file is corrupt")
        layers = layer_names(shapes)
        out: dict[str, Array] = {}
        for chunk in chunks:
            cells = unpack_cells(chunk.streams, count, shapes["mask"][1])
            values = _unpack_rows(chunk.streams, cells, 1 + rows[1])
            mask = np.zeros(shapes["mask"][1], bool)
            mask[tuple(cells.T)] = True
            if np.count_nonzero(mask) != count:
                raise UnreadableError("a voxel is stored twice: the file is corrupt")
            values = values[np.lexsort(cells.T[::-1])]
            out = {"mask": mask, "density": values[:, 0].copy(), "features": np.ascontiguousarray(values[:, 1:])}
            for name, matrix in zip(
                layers, matrices.decode(chunk.streams, [augmented_shape(shapes, n) for n in layers])
            ):
                out.update(separated(shapes, name, matrix.values()))
            out["occupancy"] = bit_arrays.unpack(chunk.streams["occupancy"], shapes["occupancy"][1])
        return out


def _pruned(field: Field, judge: Judge, statistics: Statistics, allowed: float) -> Field:
    """As many voxels left out as add ``allowed`` squared error.

    What the sensitivities predict is off by some factor, as removals side by side add up: that factor is found by
    halving its logarithm, every trial rendered. Most voxels of a dense grid are empty or hidden, and cost nothing.
    """
    tensors, mask = field.tensors, field.tensors["mask"]
    empty = float(field.spec.geometry["empty"])
    cost = statistics.squares["density"] * (tensors["density"] - empty) ** 2
    cost = cost + (statistics.squares["features"] * tensors["features"] ** 2).sum(1)
    cost = np.maximum(cost, neighbourhood(cost, mask))
    order = np.argsort(cost, kind="stable")
    total = np.cumsum(cost[order])
    low, high, best = -_RANGE / 2, _RANGE / 2, field
    for _ in range(_TRIALS):
        middle = (low + high) / 2
        trial = without(field, order[: np.searchsorted(total, allowed * 2**middle)])
        if judge.squared_error(field, trial) <= allowed:
            low, best = middle, trial
        else:
            high = middle
    return best


@dataclass(frozen=True)
class _Rows:
    """symbols: (N, 1 + C) densities and features in Morton order. steps: (1 + C,) quarter octaves."""

    symbols: I64
    steps: I64

    def values(self) -> Array:
        return (self.symbols * quarter_octaves(self.steps)).astype(np.float32)


class _Parts(ErrorShares["_Rows | Quantized"]):
    """Rounds voxels and networks at costs of their own. cells: (N, 3) in Morton order. near: earlier rows nearby."""

    def __init__(self, field: Field, ctx: FieldContext, layers: list[str]) -> None:
        groups = {"voxels": ["density", "features"], **({"networks": layers} if layers else {})}
        super().__init__(field, ctx, groups, _SHARES)
        cells = np.argwhere(field.tensors["mask"]).astype(np.int64)
        self._order = morton_order(cells << (30 - BITS))
        self.cells = cells[self._order]
        self.near = nearest_earlier(self.cells)
        self._values = _columns(field.tensors)[self._order]
        self._statistics = Statistics({}, {}, {})
        self._weights = np.ones(self._values.shape) / np.maximum(self._values.var(0), 1e-12)
        if ctx.judge is not None:
            self._statistics = ctx.judge.statistics(field, ctx.log)
            self._weights = spread_around(_columns(self._statistics.squares)[self._order], self.near)

    def _rounded(self, costs: Mapping[str, float]) -> dict[str, _Rows | Quantized]:
        out: dict[str, _Rows | Quantized] = {}
        for group, cost in costs.items():
            if group == "voxels":
                out["voxels"] = self._followed(cost)
                continue
            known = self._statistics
            for name in self._groups[group]:
                whole = augmented(self._field.tensors, name)
                out[name] = matrices.quantize(whole, (12 * cost) ** 0.5, known.moments.get(name), known.rows.get(name))
        return out

    def _followed(self, cost: float) -> _Rows:
        squares = 12 * COARSER * cost / np.maximum(self._weights.mean(0), 1e-30)
        steps = np.array([quarters(float(square)) for square in squares], np.int64)
        sizes = quarter_octaves(steps)
        price = PRICE if self._ctx.judge is not None else 0.0
        scaled = np.clip(self._values / sizes, -LARGEST, LARGEST)
        return _Rows(follow(scaled, self._weights * sizes**2 / (12 * COARSER * cost), self.near, price), steps)

    def _decoded(self, parts: Mapping[str, _Rows | Quantized]) -> Field:
        tensors = dict(self._field.tensors)
        for name, part in parts.items():
            if isinstance(part, Quantized):
                tensors.update(separated(tensors, name, part.values()))
            else:
                values = np.empty(self._values.shape, np.float32)
                values[self._order] = part.values()
                tensors |= {"density": values[:, 0].copy(), "features": np.ascontiguousarray(values[:, 1:])}
        return Field(tensors, self._field.spec)


def _columns(tensors: Mapping[str, Any]) -> F64:
    """(N, 1 + C) densities and features."""
    return np.concatenate([tensors["density"][:, None], tensors["features"]], 1).astype(np.float64)


def _pack_rows(rows: Any, near: Any) -> dict[str, bytes]:
    columns = rows.symbols.shape[1]
    coder = PlaneEncoder(_shape(columns))
    coder.add(differences(rows.symbols, near).astype(np.int32), Side(near=near))
    return {"voxel_steps": rows.steps.astype("<i2").tobytes(), "differences": coder.finish()}


def _unpack_rows(streams: Mapping[str, bytes], cells: I64, columns: int) -> Array:
    steps = np.frombuffer(streams["voxel_steps"], "<i2").astype(np.int64)
    if len(steps) != columns or np.abs(steps).max() > 200:
        raise UnreadableError("the steps of the voxels are out of range: the file is corrupt")
    near = nearest_earlier(cells)
    coder = PlaneDecoder(streams["differences"], _shape(columns))
    symbols = undo(coder.take(len(cells), Side(near=near)), near)
    coder.finish()
    return _Rows(symbols, steps).values()


def _shape(columns: int) -> Shape:
    return Shape(columns=columns, first_classes=1, second_classes=1, signed=True)
