"""A sequence of scenes: one splat file per frame, read when asked for."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Frames
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import overload

import numpy as np

from gscompress import formats
from gscompress.errors import GscompressError, UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.scene import Scene, Splats

MAX_FRAME_BYTES = 2 << 30
"""A larger member of a zip is refused: one frame of a stream is never that large."""
_SAMPLE = 2000  # rows that a look for tracks takes
_SMOOTH = 0.5  # of the distance between neighbours: so much may neighbours' motions differ in a tracked sequence


@dataclass(frozen=True, slots=True)
class Sequence:
    """frames: scenes by index (read when asked for, or already there). fps: frames per second. names: one per frame."""

    frames: Frames[Scene]
    fps: float
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Scene]:
        return iter(self.frames)


@dataclass(frozen=True)
class FileFrames(Frames[Scene]):
    """Scenes of files, read anew at each access: memory holds the frames in use. Raises UnreadableError on access."""

    paths: tuple[Path, ...]
    log: EventLog = field(default_factory=EventLog)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Scene: ...
    @overload
    def __getitem__(self, index: slice) -> Frames[Scene]: ...
    def __getitem__(self, index: int | slice) -> Scene | Frames[Scene]:
        if isinstance(index, slice):
            return FileFrames(self.paths[index], self.log)
        return _named(self.paths[index].name, self.paths[index], self.log)


@dataclass(frozen=True)
class ZipFrames(Frames[Scene]):
    """Scenes of the members of a zip file, unpacked one at a time."""

    path: Path
    members: tuple[str, ...]
    log: EventLog = field(default_factory=EventLog)

    def __len__(self) -> int:
        return len(self.members)

    @overload
    def __getitem__(self, index: int) -> Scene: ...
    @overload
    def __getitem__(self, index: slice) -> Frames[Scene]: ...
    def __getitem__(self, index: int | slice) -> Scene | Frames[Scene]:
        if isinstance(index, slice):
            return ZipFrames(self.path, self.members[index], self.log)
        name = self.members[index]
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(name) as stream:
                data = stream.read(MAX_FRAME_BYTES + 1)
        except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, EOFError) as error:
            raise UnreadableError(f"{self.path}: {name} cannot be unpacked: {error}") from None
        if len(data) > MAX_FRAME_BYTES:
            raise UnreadableError(f"{self.path}: {name} unpacks to more than {MAX_FRAME_BYTES:,} bytes")
        with tempfile.TemporaryDirectory(prefix="gscompress-") as folder:
            file = Path(folder) / PurePosixPath(name).name
            file.write_bytes(data)
            return _named(name, file, self.log)


def read_sequence(
    source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], fps: float = 30.0, log: EventLog | None = None
) -> Sequence:
    """A folder or zip of per-frame splat files in any known format, or a list of such files, in natural order.

    Files whose suffix no format knows are left out. Raises UnreadableError when no frame is there, UsageError for a
    frame rate out of range. Frames are read later: what is wrong with one shows then.
    """
    if not 0 < fps <= 1000:
        raise UsageError(f"{fps:g} frames per second are out of range (up to 1000)")
    log = log or EventLog()
    if not isinstance(source, (str, os.PathLike)):
        paths = [Path(path) for path in source]
        if not paths:
            raise UnreadableError("no frames are given")
        return Sequence(FileFrames(tuple(paths), log), fps, tuple(path.name for path in paths))
    path = Path(source)
    if path.is_dir():
        found = sorted((p for p in path.iterdir() if is_frame(p.name)), key=lambda p: natural(p.name))
        if not found:
            raise UnreadableError(f"{path}: the folder holds no splat files")
        return Sequence(FileFrames(tuple(found), log), fps, tuple(p.name for p in found))
    if not path.exists():
        raise UnreadableError(f"{path}: no such file or folder")
    members = _zip_members(path)
    if members is None:
        return Sequence(FileFrames((path,), log), fps, (path.name,))
    return Sequence(ZipFrames(path, members, log), fps, tuple(PurePosixPath(m).name for m in members))


def gathered(frames: Frames[Scene], count: int = 5) -> Scene:
    """Frames from start to end in one scene: what views of the whole sequence have to show. Frames of another SH
    degree than the first are left out."""
    picks = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int))
    scenes = [frames[int(k)] for k in picks]
    first = scenes[0]
    alike = [s.in_frame(first.frame).splats for s in scenes if s.splats.sh_degree == first.splats.sh_degree]
    return replace(first, splats=Splats.joined(alike))


def is_frame(name: str) -> bool:
    """Whether a file of this name can be a frame: a suffix that a format knows, and not hidden."""
    known = (suffix for fmt in formats.FORMATS for suffix in formats.FORMATS.get(fmt).suffixes)
    return not name.startswith(".") and name.lower().endswith(tuple(known))


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts frame_2 before frame_10."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def is_tracked(before: Scene, after: Scene) -> bool:
    """Whether row i is the same Gaussian in both: same count, and neighbours move alike.

    In sequences whose rows are shuffled, a row's way to "itself" differs from its neighbour's by more than the
    distance between neighbours.
    """
    n = len(before)
    if n != len(after) or before.splats.sh_degree != after.splats.sh_degree:
        return False
    if n < 2:
        return True
    start = before.splats.means.astype(np.float64)
    moved = after.splats.means.astype(np.float64) - start
    if not moved.any():
        return True
    rows, near = _neighbours(start)
    gap = np.linalg.norm(start[near] - start[rows], axis=1)
    apart = np.linalg.norm(moved[near] - moved[rows], axis=1)
    return bool(np.median(apart) < _SMOOTH * np.median(gap))


def _neighbours(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sample of rows and a near row of each: in order along a cube-filling curve, the closer of the two beside it."""
    from gscompress.entropy.octree import morton_order

    low, span = points.min(0), max(float(np.ptp(points, axis=0).max()), 1e-30)
    order = morton_order(np.minimum((points - low) / span * (1 << 20), (1 << 20) - 1).astype(np.int64) << 10)
    places = np.linspace(0, len(order) - 1, min(_SAMPLE, len(order))).astype(np.int64)
    rows = order[places]
    sides = [order[np.clip(places + step, 0, len(order) - 1)] for step in (-1, 1)]
    far = [np.where(side == rows, np.inf, ((points[side] - points[rows]) ** 2).sum(1)) for side in sides]
    return rows, np.where(far[0] <= far[1], sides[0], sides[1])


def _zip_members(path: Path) -> tuple[str, ...] | None:
    """Frames in a zip, in natural order; None when the file is no zip of frames (a .sog is a zip of one scene)."""
    if is_frame(path.name) or not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if is_frame(PurePosixPath(n).name) and not n.startswith("__MACOSX")]
    except (zipfile.BadZipFile, OSError) as error:
        raise UnreadableError(f"{path}: the zip file is damaged: {error}") from None
    if not names:
        raise UnreadableError(f"{path}: the zip file holds no splat files")
    return tuple(sorted(names, key=natural))


def _named(name: str, path: Path, log: EventLog) -> Scene:
    try:
        return formats.read(path, log)
    except GscompressError as error:
        if isinstance(error, UnreadableError):
            raise type(error)(f"frame {name}: {error}") from error
        raise
