"""The contract of a codec under test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.scene import Scene


@dataclass(frozen=True, slots=True)
class Point:
    """One rate point: label is its name in tables and folders, options are what the codec gets. All JSON values."""

    label: str
    options: Mapping[str, Any] = field(default_factory=dict)


class Peer(ABC):
    """One codec, our own included. Scenes go in as a .ply file and come out of one file of any kind.

    title: in tables and plots. suffix: of its files. ours: drawn in the foreground. install: the command that installs
    what it needs, for people to copy. stand_in: the codec to look at where this one takes too long.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    suffix: ClassVar[str]
    ours: ClassVar[bool] = False
    install: ClassVar[str] = ""
    stand_in: ClassVar[str] = ""

    @abstractmethod
    def version(self) -> str | None:
        """Of the program behind it; None when that is not installed."""

    @abstractmethod
    def points(self, sh_degree: int) -> Sequence[Point]:
        """The usual rate points for a scene of this SH degree, smallest first."""

    @abstractmethod
    def encode(self, source: Path, target: Path, options: Mapping[str, Any], log: EventLog) -> None:
        """Compress the .ply file ``source`` into ``target``. Any exception fails the cell."""

    def decode(self, stored: Path, log: EventLog) -> Scene:
        """The scene in a file that ``encode`` wrote."""
        from gscompress import formats

        return formats.read(stored, log)

    def point(self, label: str, sh_degree: int) -> Point:
        """The rate point of that name. Raises UsageError."""
        known = {point.label: point for point in self.points(sh_degree)}
        if label not in known:
            raise UsageError(f"codec '{self.name}' has no rate point '{label}': it has {', '.join(known)}")
        return known[label]
