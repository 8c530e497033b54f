"""Groups of a field's tensors share the error that the quality allows: each scaled to its share alone, then all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from gscompress.codecs.field_codec import FieldContext
from gscompress.field import Field

_ROUNDS = 5
_CLOSE = 0.25  # decibels above the aim
_FARTHEST = 12.0  # decibels that one trial corrects at most
Part = TypeVar("Part")


class ErrorShares(ABC, Generic[Part]):
    """groups: group → names of its tensors, or of its layers. shares: of the error, by group."""

    def __init__(
        self, field: Field, ctx: FieldContext, groups: Mapping[str, Sequence[str]], shares: Mapping[str, float]
    ) -> None:
        self._field, self._ctx, self._groups, self._shares = field, ctx, groups, shares

    @abstractmethod
    def _rounded(self, costs: Mapping[str, float]) -> dict[str, Part]:
        """The parts of these groups, rounded so that each of their values adds so much squared error."""

    @abstractmethod
    def _decoded(self, parts: Mapping[str, Part]) -> Field:
        """The field with these parts as a decoder has them."""

    def run(self, target: float) -> dict[str, Part]:
        """Every part, rounded so that the pictures' squared error is the target."""
        judge = self._ctx.judge
        if judge is None:
            return self._rounded(dict.fromkeys(self._groups, target))
        sizes = {group: sum(self._size(name) for name in names) for group, names in self._groups.items()}
        costs: dict[str, float] = {}
        with self._ctx.log.phase("share out the error", len(sizes)) as tick:
            for group, size in sizes.items():
                share = self._shares[group] * target
                costs |= self._search({group: share / max(size, 1)}, share, 1.0, judge.squared_error)[0]
                tick(1)
        with self._ctx.log.phase("all parts together"):
            return self._search(costs, target, _CLOSE, judge.lost)[1]

    def _size(self, name: str) -> int:
        return sum(a.size for n, a in self._field.tensors.items() if n in (name, f"{name}.weight", f"{name}.bias"))

    def _search(
        self, costs: dict[str, float], target: float, close: float, measure: Any
    ) -> tuple[dict[str, float], dict[str, Part]]:
        """Scale the costs of these groups until rounding them makes an error within ``close`` dB below the target."""
        best: tuple[bool, float, dict[str, float], dict[str, Part]] | None = None
        for _ in range(_ROUNDS):
            parts = self._rounded(costs)
            error = measure(self._field, self._decoded(parts))
            off = float(10 * np.log10(target / max(error, target * 1e-6)))
            if best is None or (off < 0, abs(off)) < best[:2]:
                best = off < 0, abs(off), costs, parts
            if 0 <= off < close:
                break
            factor = 10 ** ((np.clip(off, -_FARTHEST, _FARTHEST) - close / 2) / 10)
            costs = {group: cost * factor for group, cost in costs.items()}
        assert best is not None
        return best[2:]
