"""A file as a viewer needs it: its levels of quality, coarse to fine, and what each of them costs on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gscompress import formats
from gscompress.codecs import gscz
from gscompress.container.reader import Reader
from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.frame import RDF
from gscompress.scene import Scene

KEEP = 1 << 30
"""Bytes of decoded scenes that stay in memory; levels beyond that are decoded again when they are asked for."""


class Levels:
    """The levels of one file, in right-down-forward axes; a format without levels has one.

    revision: raised when the same level shows another scene, as in a film; 0 for files.
    name: of the file. sizes: bytes of the file that each level needs, a prefix of it. gaussians: before compression.
    decode: starts to decode from the base, one scene per level. keep: bytes of scenes to hold in memory.
    """

    revision = 0

    def __init__(
        self,
        name: str,
        sizes: Sequence[int],
        gaussians: int,
        decode: Callable[[], Iterator[Scene]],
        keep: int = KEEP,
    ) -> None:
        self.name, self.sizes, self.gaussians = name, tuple(sizes), gaussians
        self._decode, self._keep = decode, keep
        self._kept: dict[int, Scene] = {}
        self._lock = threading.Lock()

    @property
    def finest(self) -> int:
        """The number of the last level; the base is 0."""
        return len(self.sizes) - 1

    def scene(self, level: int) -> Scene:
        """The scene as known after ``level``. Raises UnreadableError when it cannot be decoded."""
        with self._lock:
            if level not in self._kept:
                for number, scene in zip(range(level + 1), self._decode(), strict=False):
                    self._hold(number, scene.in_frame(RDF))
            if level not in self._kept:
                raise UnreadableError(f"{self.name}: level {level} is missing: the file is corrupt")
            return self._kept[level]

    def _hold(self, level: int, scene: Scene) -> None:
        """Keep a scene; those held longest make room for it."""
        self._kept.pop(level, None)
        self._kept[level] = scene
        while len(self._kept) > 1 and sum(kept.splats.nbytes for kept in self._kept.values()) > self._keep:
            del self._kept[next(iter(self._kept))]


def open_levels(path: Path, log: EventLog) -> Levels:
    """Open a file of any format and decode its finest level. Raises UnreadableError, MissingExtraError."""
    form = formats.detect(path)
    if form.name != "gscz":
        scene = form.read(path, log).in_frame(RDF)
        return Levels(path.name, [_bytes_of(path)], len(scene), lambda: iter([scene]))
    try:
        reader = Reader.open(path)
        known = gscz.facts(reader)
        levels = Levels(path.name, prefixes(reader), known.gaussians, lambda: gscz.decode(reader, log))
        levels.scene(levels.finest)
    except UnreadableError as error:
        raise type(error)(f"{path}: {error}") from error
    return levels


def prefixes(reader: Reader) -> list[int]:
    """How many bytes of the file each complete level needs, base first; all of them for the last level."""
    ends: dict[int, int] = {}
    for placed in reader.usable():
        ends[placed.level] = max(placed.payload.stop, ends.get(placed.level, 0))
    sizes = [max(end for level, end in ends.items() if level <= top) for top in sorted(ends)]
    return [*sizes[:-1], reader.size]


def _bytes_of(path: Path) -> int:
    files = [part for part in path.rglob("*") if part.is_file()] if path.is_dir() else [path]
    return sum(part.stat().st_size for part in files)
