"""The contract of a field layout: how one piece of NeRF software names what it stores."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.field import Array, Field

OURS = "gscompress"
"""An entry of checkpoints that we write, which the software skips: the geometry, as JSON."""
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Content:
    """What a file holds, unpacked but not yet understood.

    arrays: dotted name → array (float16 to float64 became float32). facts: dotted name → number, string, bool or list.
    """

    path: Path
    arrays: Mapping[str, Array]
    facts: Mapping[str, Any]
    log: EventLog

    def need(self, name: str, *shape: int | None) -> Array:
        """The array of that name; None in ``shape`` is any length. Raises UnreadableError when missing or different."""
        if name not in self.arrays:
            raise UnreadableError(f"{self.path}: the checkpoint has no tensor '{name}'")
        array = self.arrays[name]
        fits = len(array.shape) == len(shape) and all(w is None or w == n for w, n in zip(shape, array.shape))
        if shape and not fits:
            wanted = " x ".join("any" if n is None else str(n) for n in shape)
            raise UnreadableError(f"{self.path}: '{name}' has shape {array.shape}, expected {wanted}")
        return array

    def beside(self, names: Iterable[str]) -> str:
        """The text of the first of these files next to the checkpoint or one folder up; empty when there is none."""
        for folder in (self.path.parent, self.path.parent.parent):
            for name in names:
                try:
                    with (folder / name).open(encoding="utf-8", errors="replace") as stream:
                        return stream.read(1 << 20)
                except OSError:
                    continue
        return ""


class FieldLayout(ABC):
    """One software's checkpoint: recognised by its names, read into canonical names, and built again from them."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def matches(self, content: Content) -> bool:
        """Whether the names are this software's."""

    @abstractmethod
    def read(self, content: Content) -> Field:
        """Raises UnreadableError: something is missing, or has a wrong shape."""

    @abstractmethod
    def build(self, field: Field) -> dict[str, Any]:
        """The nested dictionary of arrays and plain values that the software loads."""


def setting(text: str, key: str) -> Any:
    """The last plain scalar that a YAML text gives to ``key``: number, bool or string; None when it has none.

    Enough for the trainers' own dumps, and no YAML library runs over a stranger's file.
    """
    found = re.findall(rf"^[ \t]*{re.escape(key)}:[ \t]*(\S+)[ \t]*$", text, re.MULTILINE)
    if not found:
        return None
    word = found[-1].strip("'\"")
    if word in ("true", "false"):
        return word == "true"
    try:
        return float(word) if re.search(r"[.eE]", word) else int(word)
    except ValueError:
        return word
