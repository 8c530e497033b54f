"""Codebooks put together: residual stages that refine each other, and products that split a vector's components.

Both reach the precision of a codebook of K^M codes with M codebooks of K: small enough for a GPU's shared memory, and
decoded by M look-ups and additions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError
from gscompress.quant.vector import Codebook, assign, fit_kmeans

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class ResidualCodebook:
    """Value = sum over stages of stages[m].codes[index m]; any prefix of the stages is a coarser code."""

    stages: tuple[Codebook, ...]

    def encode(self, x: Array, beam: int = 8) -> I64:
        """(N, M) indices. The ``beam`` best prefixes survive each stage; 1 is greedy."""
        x = np.asarray(x, np.float32)
        out = np.empty((len(x), len(self.stages)), np.int64)
        for start in range(0, len(x), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            out[rows] = self._search(x[rows], beam)
        return out

    def _search(self, x: F32, beam: int) -> I64:
        rows = np.arange(len(x))[:, None]
        rest = x[:, None, :]  # (N, survivors, D)
        paths = np.empty((len(x), 1, 0), np.int64)
        for stage in self.stages:
            codes = stage.codes
            # |rest - c|^2 = |rest|^2 - 2 rest.c + |c|^2, for every survivor and code.
            costs = np.square(rest).sum(-1)[:, :, None] - 2 * rest @ codes.T + np.square(codes).sum(1)
            flat = costs.reshape(len(x), -1)
            keep = min(beam, flat.shape[1])
            best = np.argpartition(flat, keep - 1, axis=1)[:, :keep]
            parent, code = np.divmod(best, len(codes))
            paths = np.concatenate([paths[rows, parent], code[:, :, None]], axis=2)
            rest = rest[rows, parent] - codes[code]
        return paths[rows[:, 0], np.argmin(np.square(rest).sum(-1), axis=1)]

    def decode(self, indices: Array, stages: int | None = None) -> F32:
        """(N, D) values from (N, M) indices, using the first ``stages`` columns (None: all)."""
        used = len(self.stages) if stages is None else stages
        return sum(
            (stage.decode(indices[:, m]) for m, stage in enumerate(self.stages[:used])),
            np.zeros((len(indices), self.stages[0].codes.shape[1]), np.float32),
        )


def fit_residual(
    x: Array, k: int, stages: int, weights: Array | None = None, iterations: int = 10, seed: int = 0
) -> ResidualCodebook:
    """Stage after stage on what the ones before left over. weights: None or (N,)."""
    rest = np.array(x, np.float32)
    books = []
    for stage in range(stages):
        book = fit_kmeans(rest, k, weights, iterations, seed + stage)
        rest -= book.decode(assign(rest, book))
        books.append(book)
    return ResidualCodebook(tuple(books))


@dataclass(frozen=True)
class ProductCodebook:
    """Components ``groups[m]`` of a vector come from parts[m]."""

    groups: tuple[tuple[int, ...], ...]
    parts: tuple[Codebook, ...]

    def encode(self, x: Array, weights: Array | None = None) -> I64:
        """(N, M) indices, the best there are for (N, D) values and None, (N,) or (N, D) weights."""
        x = np.asarray(x, np.float32)
        chosen = [assign(x[:, g], part, _of(weights, g)) for g, part in zip(self.groups, self.parts)]
        return np.stack(chosen, axis=1)

    def decode(self, indices: Array) -> F32:
        out = np.empty((len(indices), sum(map(len, self.groups))), np.float32)
        for m, (group, part) in enumerate(zip(self.groups, self.parts)):
            out[:, group] = part.decode(indices[:, m])
        return out


def fit_product(
    x: Array,
    k: int,
    groups: Sequence[Sequence[int]],
    weights: Array | None = None,
    iterations: int = 10,
    seed: int = 0,
) -> ProductCodebook:
    """One codebook per group of components; ``groups`` must name every component exactly once."""
    x = np.asarray(x, np.float32)
    if sorted(i for g in groups for i in g) != list(range(x.shape[1])):
        raise UsageError(f"product groups must name each of the {x.shape[1]} components exactly once")
    parts = [fit_kmeans(x[:, list(g)], k, _of(weights, g), iterations, seed + m) for m, g in enumerate(groups)]
    return ProductCodebook(tuple(tuple(g) for g in groups), tuple(parts))


def _of(weights: Array | None, group: Sequence[int]) -> Array | None:
    return weights[:, list(group)] if weights is not None and weights.ndim == 2 else weights
