"""The contract of an ecosystem file format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.scene import Scene


class Format(ABC):
    """One file format. Readers never trust a header: counts are checked against the bytes before anything is allocated.

    ``suffixes`` are lower case and start with a dot; the longest match wins (".compressed.ply" over ".ply").
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    writable: ClassVar[bool] = True

    @abstractmethod
    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether the file is of this format, judged by its first bytes (up to 64 KiB) alone where that can be.

        ``head`` is empty for a folder.
        """

    @abstractmethod
    def read(self, path: Path, log: EventLog) -> Scene:
        """Read a scene. Raises UnreadableError in one line; reports oddities through ``log.warn``."""

    def losses(self, scene: Scene) -> list[str]:
        """What writing this scene in this format gives up, one short sentence each; empty when nothing."""
        return []

    def write(self, scene: Scene, path: Path, log: EventLog) -> None:
        """Write a scene to ``path`` (the caller stages and renames). Raises UsageError when it cannot be expressed."""
        raise UsageError(f"gscompress reads .{self.name} files but does not write them: choose another output")
