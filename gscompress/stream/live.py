"""Frames that are still coming: files that appear in a folder, or paths that another program prints."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from gscompress import formats
from gscompress.errors import GscompressError, UnreadableError
from gscompress.events import EventLog
from gscompress.scene import Scene
from gscompress.sequence import is_frame, natural

SETTLE, POLL = 0.3, 0.05
"""Seconds for which a file must not change to count as finished, and between two looks at the folder."""


class LiveFrames:
    """Scenes of files as they arrive. Every iteration starts at the first one: each rendition reads them for itself.

    A file that cannot be read is replaced by the frame before it, with a warning, so that time goes on; before the
    first good one it is left out.
    """

    def __init__(self, arrivals: Iterator[Path], log: EventLog) -> None:
        self._arrivals, self._log = arrivals, log
        self._known: list[Path] = []

    def __iter__(self) -> Iterator[Scene]:
        last: Scene | None = None
        for number in itertools.count():
            if number == len(self._known):
                path = next(self._arrivals, None)
                if path is None:
                    return
                self._known.append(path)
            try:
                last = formats.read(self._known[number], self._log)
            except GscompressError as error:
                self._log.warn(f"{error}: the frame before it is repeated")
            if last is not None:
                yield last


def follow(folder: Path, log: EventLog, idle: float | None = None) -> Iterator[Path]:
    """Splat files of a folder in natural order, each when it is finished, until none comes for ``idle`` seconds.

    An interrupt (Ctrl-C) while waiting ends it too. Files that come later than their successors are left out.
    Raises UnreadableError when the folder is not there.
    """
    if not folder.is_dir():
        raise UnreadableError(f"{folder}: no such folder")
    there = _Folder(folder, log)
    latest = time.monotonic()
    while True:
        for path in there.finished():
            yield path
            latest = time.monotonic()
        if idle is not None and time.monotonic() - max(latest, there.changed) > idle:
            return
        try:
            time.sleep(POLL)
        except KeyboardInterrupt:
            return


class _Folder:
    """What has been seen of a folder. changed: when a frame last appeared or grew, by the monotonic clock."""

    def __init__(self, folder: Path, log: EventLog) -> None:
        self._folder, self._log = folder, log
        self._dealt_with: set[str] = set()
        self._waiting: dict[str, tuple[tuple[int, int], float]] = {}
        self._latest: list[tuple[int, int, str]] = []
        self.changed = -math.inf

    def finished(self) -> Iterator[Path]:
        """The frames that are next in order and have not changed for a while."""
        self._look()
        for name in sorted(self._waiting, key=natural):
            (size, _), since = self._waiting[name]
            if not size or time.monotonic() - since < SETTLE:
                return
            del self._waiting[name]
            self._dealt_with.add(name)
            self._latest = natural(name)
            yield self._folder / name

    def _look(self) -> None:
        now = time.monotonic()
        for name in os.listdir(self._folder):
            if name in self._dealt_with or name in self._waiting:
                continue
            if is_frame(name) and natural(name) >= self._latest:
                self._waiting[name] = (0, 0), now
                continue
            self._dealt_with.add(name)
            if is_frame(name):
                self._log.warn(f"{name} came after a later frame: it is left out")
        for name, (state, _) in list(self._waiting.items()):
            try:
                found = (self._folder / name).stat()
            except OSError:  # gone again
                del self._waiting[name]
                continue
            if state != (found.st_size, found.st_mtime_ns):
                self._waiting[name] = (found.st_size, found.st_mtime_ns), now
                self.changed = now


def printed(lines: Iterable[str]) -> Iterator[Path]:
    """Paths, one per line, until the input ends or is interrupted; empty lines are skipped."""
    try:
        for line in lines:
            if line.strip():
                yield Path(line.rstrip("\r\n"))
    except KeyboardInterrupt:
        return
