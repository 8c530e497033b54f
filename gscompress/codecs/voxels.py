"""Sparse voxel grids after VQRF (Li et al., CVPR 2023): prune, a codebook for most, own values for the important ones.

Importance is sensitivity measured through the renderer. Voxels whose removal costs least go first, up to a share of the
error that the quality allows. Density and base colour of the rest have steps by sensitivity; their view-dependent
colour is an index into a weighted codebook, but for the most important voxels, which keep their own, rounded. Voxels
are stored in Morton order, so that a voxel is predicted from those just before it nearby.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.codecs.field_codec import FieldCodec, FieldContext, Shapes
from gscompress.codecs.tables import quarter_octaves
from gscompress.container.chunk import Chunk
from gscompress.entropy.neighbours import nearest_earlier
from gscompress.entropy.octree import decode_tree, encode_tree, morton_order
from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.entropy.raw_bits import pack_refinement, unpack_refinement
from gscompress.errors import UnreadableError, UsageError
from gscompress.field import Array, Field, Spec
from gscompress.field_statistics import Judge, Statistics
from gscompress.quant.follow import differences, follow, undo
from gscompress.quant.vector import assign, fit_kmeans

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_ROUNDS, _CLOSE = 5, 0.3
_PRUNED = 0.3  # of the error is for pruning
_HALVINGS = 8
_SAMPLE = 40_000  # voxels that the codebook is trained with
BITS = 10  # per coordinate, of 30 that the tree has
_HEAD = struct.Struct("<4hH")  # quarter octaves of the steps: density, base, view colour, codebook; number of codes
_WORTH = 6.0  # times the cost of rounding, from which the error of a code makes values of its own worth their bits
COARSER, PRICE = 2.0, math.log(2) / 12  # as for hash tables (``tables``): squared steps, and squared steps per bit
_LAMBDA = 12 * COARSER * PRICE  # squared error per bit, in costs per value
LARGEST = 1 << 22
_LEAST = 0.02  # of the mean sensitivity
_OWN = 0  # the index of voxels with a view-dependent colour of their own


@dataclass(frozen=True)
class VoxelsCodec(FieldCodec):
    """quality: aims at 20 + 0.4 quality dB against the original's pictures (47.5: 39 dB). codes: of the codebook. keep:
    share of voxels that have a view-dependent colour of their own in any case; more have it where no code comes close.
    """

    name: ClassVar[str] = "voxels"
    version: ClassVar[int] = 2
    cites: ClassVar[str] = "Li et al. 2023 (VQRF)"
    handles: ClassVar[frozenset[str]] = frozenset({"voxels"})
    quality: float = 47.5
    codes: int = 1024
    keep: float = 0.02

    def prepare(self, field: Field, ctx: FieldContext) -> Field:
        """The field without the voxels whose removal costs least."""
        if ctx.judge is None:
            return field
        return _pruned(field, ctx.judge, ctx.judge.statistics(field, ctx.log), _PRUNED * 10 ** (-self.aim / 10))

    def encode(self, field: Field, ctx: FieldContext) -> Iterator[Chunk]:
        if max(field.tensors["mask"].shape) > 1 << BITS or not 1 <= self.codes < 1 << 15:
            raise UsageError("the voxels codec holds grids of at most 1024 cells a side and 32767 codes")
        parts = _Parts(field, self, ctx)
        yield Chunk("BASE", 0, parts.search(10 ** (-self.aim / 10) * (1 - _PRUNED)))

    def decode(self, spec: Spec, shapes: Shapes, chunks: Iterable[Chunk]) -> dict[str, Array]:
        bands, count = int(spec.geometry["bands"]), shapes["density"][1][0]
        out: dict[str, Array] = {}
        for chunk in chunks:
            cells = unpack_cells(chunk.streams, count, shapes["mask"][1])
            density, sh = _unpack_values(chunk.streams, cells, bands)
            mask = np.zeros(shapes["mask"][1], bool)
            mask[tuple(cells.T)] = True
            if np.count_nonzero(mask) != count:
                raise UnreadableError("a voxel is stored twice: the file is corrupt")
            order = np.lexsort(cells.T[::-1])
            out = {"mask": mask, "density": density[order], "sh": sh[order]}
        return out


def _pruned(field: Field, judge: Judge, statistics: Statistics, allowed: float) -> Field:
    """As many voxels left out as add ``allowed`` squared error, found by halving.

    Removals side by side add up to more than their sensitivities say, so every trial is rendered. Densities below
    zero have no gradient, but carve the surface next to them: they count as much as a mean voxel.
    """
    density, sh = statistics.squares["density"], statistics.squares["sh"]
    density = _guarded(density, field.tensors["density"], field.tensors["mask"])
    cost = density * field.tensors["density"] ** 2 + (sh * field.tensors["sh"] ** 2).sum(1)
    order = np.argsort(cost, kind="stable")
    low, high, best = 0, len(order), field
    for _ in range(_HALVINGS):
        middle = (low + high) // 2
        trial = without(field, order[:middle])
        if middle > low and judge.squared_error(field, trial) <= allowed:
            low, best = middle, trial
        else:
            high = middle
    return best


def _guarded(sensitivity: F64, density: Array, mask: Array) -> F64:
    """Densities below zero have no gradient, but carve the surface next to them: they count as those around do."""
    return np.where(density < 0, np.maximum(sensitivity, neighbourhood(sensitivity, mask)), sensitivity)


def neighbourhood(values: F64, mask: Array) -> F64:
    """(N,) means of values (N,) over the up to 27 voxels around each voxel of a mask, itself among them."""
    dense, near = np.zeros(mask.shape), mask.astype(np.float64)
    dense[mask] = values
    for axis in range(3):
        dense, near = _summed(dense, axis), _summed(near, axis)
    return dense[mask] / near[mask]


def _summed(x: F64, axis: int) -> F64:
    """Every value with those before and after it along an axis."""
    out, moved = x.copy(), np.moveaxis(x, axis, 0)
    whole = np.moveaxis(out, axis, 0)
    whole[1:] += moved[:-1]
    whole[:-1] += moved[1:]
    return out


def without(field: Field, rows: I64) -> Field:
    kept = np.ones(len(field.tensors["density"]), bool)
    kept[rows] = False
    mask = field.tensors["mask"].copy()
    mask[mask] = kept
    stay = {name: field.tensors[name][kept] for name in ("density", "sh", "features") if name in field.tensors}
    return replace(field, tensors={**field.tensors, "mask": mask, **stay})


@dataclass(frozen=True)
class _Rounded:
    """Symbols in storage order. steps: quarter octaves of density, base, view colour and codebook."""

    steps: tuple[int, int, int, int]
    base: I64  # (N, 4) density and base colour
    index: I64  # (N,) 0: own
    own: I64  # (number of zeros in index, D)
    codes: I64  # (K, D)


class _Parts:
    """A field in storage order, and its roundings at any cost."""

    def __init__(self, field: Field, codec: VoxelsCodec, ctx: FieldContext) -> None:
        self._field, self._codec, self._ctx = field, codec, ctx
        self._bands = int(field.spec.geometry["bands"])
        cells = np.argwhere(field.tensors["mask"]).astype(np.int64)
        self._order = morton_order(cells << (30 - BITS))
        self._cells = cells[self._order]
        density, sh = field.tensors["density"][self._order], field.tensors["sh"][self._order]
        self._base, self._view = _split(density.astype(np.float64), sh.astype(np.float64), self._bands)
        self._near = nearest_earlier(self._cells)
        self._weights(None if ctx.judge is None else ctx.judge.statistics(field, ctx.log))

    def _weights(self, statistics: Statistics | None) -> None:
        if statistics is None:
            spread = np.maximum(self._base.var(0), 1e-12)
            self._h_base, self._h_view = np.ones_like(self._base) / spread, np.ones(len(self._base)) / spread[1]
            return
        tensors = self._field.tensors
        density = _guarded(statistics.squares["density"], tensors["density"], tensors["mask"])[self._order]
        sh = statistics.squares["sh"][self._order]
        base, view = _split(density, sh, self._bands)
        self._h_base, view = spread_around(base, self._near), spread_around(view, self._near)
        self._h_view = view.mean(1) if view.shape[1] else self._h_base[:, 1]

    def _indices(self, cost: float) -> tuple[F64, I64, F64]:
        """Codes (K, D), the most frequent ones first, and for every voxel its code and what that costs in error."""
        count = len(self._base)
        if not self._view.shape[1]:
            return np.zeros((0, 0)), np.zeros(count, np.int64), np.zeros(count)
        judged = self._ctx.judge is not None
        price = _LAMBDA * cost if judged else 0.0
        weights = np.maximum(self._h_view, 1e-6 * max(float(self._h_view.mean()), 1e-30))
        chosen = np.random.default_rng(self._ctx.seed).permutation(count)[:_SAMPLE]
        book = fit_kmeans(self._view[chosen], self._codec.codes, weights[chosen], seed=self._ctx.seed, price=price)
        nearest = assign(self._view, book, weights if judged else None, price)
        order = np.argsort(-np.bincount(nearest, minlength=len(book.codes)), kind="stable")
        places = np.argsort(order)[nearest]
        codes = np.asarray(book.codes, np.float64)[order]
        return codes, places, self._h_view * ((self._view - codes[places]) ** 2).sum(1)

    def search(self, target: float) -> dict[str, bytes]:
        """Streams at the cost per value at which the pictures have ``target`` more squared error."""
        judge = self._ctx.judge
        cost = target / (1 if judge is None else max(self._base.size + self._view.size, 1))
        best: tuple[bool, float, _Rounded] | None = None
        for _ in range(_ROUNDS if judge is not None else 1):
            rounded = self._rounded(cost)
            error = target if judge is None else judge.squared_error(self._field, self._decoded(rounded))
            off = float(10 * np.log10(target / max(error, target * 1e-6)))
            if best is None or (off < 0, abs(off)) < best[:2]:
                best = off < 0, abs(off), rounded
            if 0 <= off < _CLOSE:
                break
            cost *= 10 ** ((np.clip(off, -12, 12) - _CLOSE / 2) / 10)
        assert best is not None
        return pack_cells(self._cells) | _pack_values(best[2], self._cells)

    def _rounded(self, cost: float) -> _Rounded:
        codes, nearest, error = self._indices(cost)
        mean = [self._h_base[:, 0].mean(), self._h_base[:, 1:].mean(), self._h_view.mean()]
        steps = [quarters(12 * COARSER * cost / max(float(m), 1e-30)) for m in mean]
        four = (steps[0], steps[1], steps[2], steps[2] - 4)  # codes are shared: they are worth finer steps
        sizes = np.array([step_of(four[0]), *[step_of(four[1])] * 3])
        judged = self._ctx.judge is not None
        alone = error > _WORTH * cost * self._view.shape[1] if judged else np.zeros(len(error), bool)
        if not self._view.shape[1]:
            alone[:] = True
        alone[np.argsort(-error, kind="stable")[: int(self._codec.keep * len(alone))]] = True
        weights = self._h_base * sizes**2 / (12 * COARSER * cost)
        base = follow(np.clip(self._base / sizes, -LARGEST, LARGEST), weights, self._near, PRICE if judged else 0.0)
        own, book = self._view[alone] / step_of(four[2]), codes / step_of(four[3])
        symbols = [np.clip(np.rint(x), -LARGEST, LARGEST).astype(np.int64) for x in (own, book)]
        return _Rounded(four, base, np.where(alone, _OWN, nearest + 1), symbols[0], symbols[1])

    def _decoded(self, rounded: _Rounded) -> Field:
        density, sh = _values(rounded, self._bands)
        back = np.argsort(self._order)
        tensors = {"mask": self._field.tensors["mask"], "density": density[back], "sh": sh[back]}
        return Field(tensors, self._field.spec)


def spread_around(sensitivity: F64, near: npt.NDArray[np.int32]) -> F64:
    """(N, C) sensitivities: what no sampled ray met is as sensitive as its neighbours, and never quite free."""
    around = np.where(near[:, :, None] >= 0, sensitivity[near], 0.0).mean(1)
    return np.maximum(np.maximum(sensitivity, around), _LEAST * sensitivity.mean(0))


def quarters(square: float) -> int:
    return int(np.clip(round(2 * math.log2(max(square, 1e-30))), -200, 200))


def step_of(quarters: int) -> float:
    return float(quarter_octaves(np.array([quarters]))[0])


def _split(density: F64, sh: F64, bands: int) -> tuple[F64, F64]:
    """(N, 4) density and base colour, (N, 3 (bands - 1)) view-dependent colour."""
    channels = sh.reshape(-1, 3, bands)
    return np.concatenate([density[:, None], channels[:, :, 0]], 1), channels[:, :, 1:].reshape(len(sh), -1)


def _values(rounded: _Rounded, bands: int) -> tuple[Array, Array]:
    """(N,) densities and (N, 3 bands) SH in storage order."""
    steps = [step_of(k) for k in rounded.steps]
    view = np.zeros((len(rounded.index), 3 * (bands - 1)))
    own = rounded.index == _OWN
    if bands > 1:
        view[~own] = rounded.codes[rounded.index[~own] - 1] * steps[3]
        view[own] = rounded.own * steps[2]
    sh = np.concatenate([(rounded.base[:, 1:] * steps[1])[:, :, None], view.reshape(len(view), 3, bands - 1)], 2)
    return (rounded.base[:, 0] * steps[0]).astype(np.float32), sh.reshape(-1, 3 * bands).astype(np.float32)


def pack_cells(cells: I64) -> dict[str, bytes]:
    tree, known = encode_tree(cells << (30 - BITS))
    return {"cells": tree, "cells_raw": pack_refinement(cells << (30 - BITS), known, np.full(len(cells), 3 * BITS))}


def unpack_cells(streams: Mapping[str, bytes], count: int, size: tuple[int, ...]) -> I64:
    coordinates, known = decode_tree(streams["cells"], count)
    whole = unpack_refinement(streams["cells_raw"], coordinates, known, np.full(count, 3 * BITS)) >> (30 - BITS)
    if len(size) != 3 or (count and (whole >= size).any()):
        raise UnreadableError("a voxel lies outside its grid: the file is corrupt")
    return whole


def _pack_values(rounded: _Rounded, cells: I64) -> dict[str, bytes]:
    near = nearest_earlier(cells)
    streams = {"sizes": _HEAD.pack(*rounded.steps, len(rounded.codes))}
    tables: dict[str, tuple[I64, Side]] = {
        "differences": (differences(rounded.base, near), Side(near=near)),
        "index": (rounded.index[:, None], Side(near=near)),
        "own": (rounded.own, Side()),
        "codebook": (rounded.codes, Side()),
    }
    for name, (symbols, side) in tables.items():
        if symbols.size:
            coder = PlaneEncoder(_shape(symbols.shape[1], name))
            coder.add(symbols.astype(np.int32), side)
            streams[name] = coder.finish()
    return streams


def _unpack_values(streams: Mapping[str, bytes], cells: I64, bands: int) -> tuple[Array, Array]:
    *steps, codes = _HEAD.unpack(streams["sizes"])
    near, width = nearest_earlier(cells), 3 * (bands - 1)

    def table(name: str, rows: int, columns: int, side: Side) -> I64:
        if not rows * columns:
            return np.zeros((rows, columns), np.int64)
        coder = PlaneDecoder(streams[name], _shape(columns, name))
        symbols = coder.take(rows, side).astype(np.int64)
        coder.finish()
        return symbols

    if "base" in streams:  # version 1
        base = table("base", len(cells), 4, Side(near=near))
    else:
        base = undo(table("differences", len(cells), 4, Side(near=near)), near)
    index = table("index", len(cells), 1, Side(near=near))[:, 0]
    if index.size and index.max() > codes:
        raise UnreadableError("a voxel's colour is not in the codebook: the file is corrupt")
    own = table("own", int((index == _OWN).sum()) if width else 0, width, Side())
    book = table("codebook", codes, width, Side())
    return _values(_Rounded((steps[0], steps[1], steps[2], steps[3]), base, index, own, book), bands)


def _shape(columns: int, name: str) -> Shape:
    return Shape(columns=columns, first_classes=1, second_classes=1, signed=name != "index")
