"""The byte ledger: where the bytes of a file went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """``size`` bytes spent on ``attribute`` in ``level`` (0 is the base)."""

    attribute: str
    level: int
    size: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """All entries of one file; their sum is the file size (container overhead is an attribute of its own)."""

    entries: tuple[Entry, ...]
    gaussians: int

    @property
    def total(self) -> int:
        return sum(entry.size for entry in self.entries)

    def by_attribute(self) -> dict[str, int]:
        return _summed((entry.attribute, entry.size) for entry in self.entries)

    def by_level(self) -> dict[int, int]:
        return _summed((entry.level, entry.size) for entry in self.entries)

    def bits_per_gaussian(self, size: int) -> float:
        return 8 * size / self.gaussians if self.gaussians else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "total_bytes": self.total,
            "gaussians": self.gaussians,
            "bits_per_gaussian": round(self.bits_per_gaussian(self.total), 3),
            "bytes_per_attribute": self.by_attribute(),
            "bytes_per_level": {str(level): size for level, size in self.by_level().items()},
        }


def _summed(pairs: Iterable[tuple[Any, int]]) -> dict[Any, int]:
    out: dict[Any, int] = defaultdict(int)
    for key, size in pairs:
        out[key] += size
    return dict(out)
