"""Hash-grid fields: feature tables by ``tables``, networks by ``matrices``, everything by one price of bits.

Sensitivities come from sign probes through the renderer (``field_statistics``); the squared error that a value may add
is the same for all of them, and is scaled until the pictures have the error that the quality asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from gscompress.codecs import bit_arrays, matrices, tables
from gscompress.codecs.field_codec import FieldCodec, FieldContext, Shapes
from gscompress.codecs.matrices import Quantized
from gscompress.codecs.mlp import augmented, augmented_shape, layer_names, separated
from gscompress.codecs.tables import Table
from gscompress.container.chunk import Chunk
from gscompress.errors import UnreadableError, UsageError
from gscompress.field import Array, Field, Spec
from gscompress.field_statistics import Judge, Statistics
from gscompress.hash_levels import Levels, levels_of, scales_of

_Measure = Callable[[Field, Field], float]
_ROUNDS = 4
_CLOSE = 0.25  # decibels above the aim
_PRICE = 1.3863  # 2 ln 2: squared error that a bit is worth, in units of what rounding costs per value
_FARTHEST = 12.0  # decibels that one trial corrects at most
_GIVEN = 5.0  # times the error that is aimed at: what tables are rounded to before they are tuned
_FEWER = 8192  # rays are enough for networks
_NETWORKS = 0.15  # of the error that is aimed at: what rounding the networks may add after that


@dataclass(frozen=True)
class HashGridCodec(FieldCodec):
    """quality: aims at 20 + 0.4 quality dB against the original's own pictures (50: 40 dB). tune: seconds of training
    against pictures, or photos where the judge has any: tables start with five times the error that is aimed at.
    """

    name: ClassVar[str] = "hash_grid"
    version: ClassVar[int] = 1
    cites: ClassVar[str] = "Chen et al. 2024 (CNC); Frantar et al. 2022 (GPTQ)"
    handles: ClassVar[frozenset[str]] = frozenset({"hash_grid"})
    quality: float = 50.0
    tune: float = 0.0

    def prepare(self, field: Field, ctx: FieldContext) -> Field:
        """With the grids' scales spelt out: contexts depend on them, so that no decoder may compute them anew."""
        geometry = dict(field.spec.geometry)
        geometry.setdefault("scales", scales_of(geometry))
        geometry["proposals"] = [
            {"scales": scales_of({**p, "indexing": geometry["indexing"]}), **p} for p in geometry["proposals"]
        ]
        return replace(field, spec=replace(field.spec, geometry=geometry))

    def encode(self, field: Field, ctx: FieldContext) -> Iterator[Chunk]:
        grids = grids_of(field.spec, {n: (a.dtype.name, a.shape) for n, a in field.tensors.items()})
        layers = {name: augmented(field.tensors, name) for name in layer_names(field.tensors)}
        layered = {f"{name}.{part}" for name in layers for part in ("weight", "bias")}
        coded = {*grids, *layered, "occupancy", "appearance"}
        if set(field.tensors) - coded:
            raise UsageError(f"the hash_grid codec has no place for {', '.join(sorted(set(field.tensors) - coded))}")
        parts = _Parts(field, ctx).run(10 ** (-self.aim / 10), self.tune)
        streams = {**tables.encode(list(parts[0].values()), list(grids.values()))}
        streams |= matrices.encode(list(parts[1].values()))
        if "occupancy" in field.tensors:
            streams["occupancy"] = bit_arrays.pack(field.tensors["occupancy"])
        if "appearance" in field.tensors:
            streams["appearance"] = _mean_appearance(field.tensors["appearance"]).tobytes()
        yield Chunk("BASE", 0, streams)

    def decode(self, spec: Spec, shapes: Shapes, chunks: Iterable[Chunk]) -> dict[str, Array]:
        grids = grids_of(spec, shapes)
        names = layer_names(shapes)
        out: dict[str, Array] = {}
        for chunk in chunks:
            width = shapes["grid"][1][1]
            for name, table in zip(grids, tables.decode(chunk.streams, list(grids.values()), width)):
                out[name] = table.values(grids[name])
            whole = matrices.decode(chunk.streams, [augmented_shape(shapes, name) for name in names])
            for name, matrix in zip(names, whole):
                out.update(separated(shapes, name, matrix.values()))
            if "occupancy" in shapes:
                out["occupancy"] = bit_arrays.unpack(chunk.streams["occupancy"], shapes["occupancy"][1])
            if "appearance" in shapes:
                mean = np.frombuffer(chunk.streams["appearance"], "<f2").astype(np.float32)
                out["appearance"] = np.tile(mean, (shapes["appearance"][1][0], 1))
        return out


def grids_of(spec: Spec, shapes: Mapping[str, Any]) -> dict[str, Levels]:
    """Tables and their levels. Raises UnreadableError when they do not fit, or differ in width."""
    geometry = spec.geometry
    grids = {"grid": levels_of(geometry)}
    for k, proposal in enumerate(geometry["proposals"]):
        grids[f"proposal.{k}.grid"] = levels_of({**proposal, "indexing": geometry["indexing"]})
    widths = set()
    for name, levels in grids.items():
        shape = shapes[name][1]
        if len(shape) != 2 or shape[0] != levels.rows or not 0 < shape[1] <= 16:
            raise UnreadableError(f"the table '{name}' does not fit its levels: the file is corrupt")
        widths.add(shape[1])
    if len(widths) > 1:
        raise UsageError("the hash_grid codec wants the same number of features in every table")
    return grids


def _mean_appearance(embedding: Array) -> Array:
    """Pictures of no particular photo use the mean embedding: it is all that is kept."""
    return embedding.mean(0).astype("<f2")


class _Parts:
    """Rounds every table and layer at a cost of its own, so that each has its share of the pictures' error."""

    def __init__(self, field: Field, ctx: FieldContext) -> None:
        self._original = field
        self._ctx = ctx
        self._grids = grids_of(field.spec, {n: (a.dtype.name, a.shape) for n, a in field.tensors.items()})
        self._use(field, None)

    def _use(self, field: Field, rays: int | None) -> None:
        self._field = field
        self._layers = {name: augmented(field.tensors, name) for name in layer_names(field.tensors)}
        judge = self._ctx.judge
        self._statistics = None if judge is None else judge.statistics(field, self._ctx.log, rays)

    def run(self, target: float, tune: float) -> tuple[dict[str, Table], dict[str, Quantized]]:
        judge = self._ctx.judge
        if self._statistics is None or judge is None:
            blind = _blind(self._field, self._grids)
            parts = {name: self._rounded(name, target, blind) for name in (*self._grids, *self._layers)}
            return self._sorted(parts)
        sizes = {name: self._field.tensors[name].size for name in self._grids}
        sizes |= {name: w.size for name, w in self._layers.items()}
        total = sum(sizes.values())
        costs = {}
        with self._ctx.log.phase("share out the error", len(sizes)) as tick:
            for name, size in sizes.items():
                share = target * size / total
                costs[name] = self._search([name], {name: target / total}, share, 1.0, judge.squared_error)[0][name]
                tick(1)
        if tune:
            return self._tuned(judge, costs, target, tune)
        with self._ctx.log.phase("all parts together"):
            return self._sorted(self._search(list(sizes), costs, target, _CLOSE, judge.squared_error)[1])

    def _tuned(
        self, judge: Judge, costs: Mapping[str, float], target: float, seconds: float
    ) -> tuple[dict[str, Table], dict[str, Quantized]]:
        """Tables rounded far more coarsely than the aim, trained to make up for it, and then networks rounded to it."""
        assert self._statistics is not None
        names = list(self._grids)
        with self._ctx.log.phase("round coarsely"):
            scaled, parts = self._search(names, dict(costs), target * _GIVEN, 1.0, judge.squared_error)
        coarse = self._sorted(parts)[0]
        steps = {name: table.steps for name, table in coarse.items()}
        start = {name: table.values(self._grids[name]) for name, table in coarse.items()}
        scales = {name: tables.quarter_octaves(k) for name, k in steps.items()}
        price = _PRICE * float(np.mean([scaled[name] for name in names]))
        field = replace(self._field, tensors={**self._field.tensors, **start})
        tuned = judge.refine(field, scales, price, seconds, self._ctx.log)
        features = {name: tables.exact(tuned.tensors[name], steps[name], self._grids[name]) for name in names}
        self._use(tuned, _FEWER)
        self._original = tuned
        with self._ctx.log.phase("networks"):
            layers = {name: costs[name] for name in self._layers}
            share = target * _NETWORKS
            rounded = self._search(list(layers), layers, share, 1.0, judge.squared_error)[1]
        return features, self._sorted(rounded)[1]

    def _search(
        self, names: list[str], costs: dict[str, float], target: float, close: float, measure: _Measure
    ) -> tuple[dict[str, float], dict[str, Table | Quantized]]:
        """Scale costs until rounding these parts makes an error within ``close`` dB below the target."""
        assert self._statistics is not None
        best: tuple[bool, float, dict[str, float], dict[str, Table | Quantized]] | None = None
        for _ in range(_ROUNDS):
            parts = {name: self._rounded(name, costs[name], self._statistics) for name in names}
            off = self._decibels_off(parts, target, measure)
            if best is None or (off < 0, abs(off)) < best[:2]:
                best = off < 0, abs(off), costs, parts
            if 0 <= off < close:
                break
            factor = 10 ** ((np.clip(off, -_FARTHEST, _FARTHEST) - close / 2) / 10)
            costs = {name: cost * factor for name, cost in costs.items()}
        assert best is not None
        return best[2:]

    def _rounded(self, name: str, cost: float, statistics: Statistics) -> Table | Quantized:
        if name in self._grids:
            return tables.quantize(self._field.tensors[name], statistics.squares[name], self._grids[name], cost)
        moments, rows = statistics.moments.get(name), statistics.rows.get(name)
        return matrices.quantize(self._layers[name], (12 * cost) ** 0.5, moments, rows)

    def _decibels_off(self, parts: Mapping[str, Table | Quantized], target: float, measure: _Measure) -> float:
        """How much better than the target the pictures are; negative: worse."""
        tensors = dict(self._field.tensors)
        for name, part in parts.items():
            if isinstance(part, Table):
                tensors[name] = part.values(self._grids[name])
            else:
                tensors.update(separated(tensors, name, part.values()))
        error = measure(self._original, Field(tensors, self._field.spec))
        return float(10 * np.log10(target / max(error, target * 1e-6)))

    def _sorted(self, parts: Mapping[str, Table | Quantized]) -> tuple[dict[str, Table], dict[str, Quantized]]:
        features = {name: part for name, part in parts.items() if isinstance(part, Table)}
        return features, {name: part for name, part in parts.items() if isinstance(part, Quantized)}


def _blind(field: Field, grids: Mapping[str, Levels]) -> Statistics:
    """Without pictures: every value of a level counts the same, in units of the level's own spread."""
    squares = {}
    for name, levels in grids.items():
        squares[name] = np.empty(field.tensors[name].shape)
        for level in range(len(levels)):
            rows = levels.rows_of(level)
            squares[name][rows] = 1 / max(float(field.tensors[name][rows].var()), 1e-12)
    return Statistics({}, {}, squares)
