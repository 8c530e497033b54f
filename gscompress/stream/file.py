"""A whole stream in one ``.gscz`` file: HEAD, the chunks of all GOPs, the container's index."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gscompress.container.layout import CHUNK, Placed
from gscompress.container.reader import Reader
from gscompress.container.writer import Writer
from gscompress.errors import UnreadableError
from gscompress.stream.folder import as_file
from gscompress.stream.frames import KEY, RESIDUAL, Gop


@dataclass(frozen=True, slots=True)
class Place:
    """Where a GOP lies in a file. first_frame: number of its first frame. offset, size: bytes. frame_sizes: bytes of
    each of its frames."""

    index: int
    first_frame: int
    offset: int
    frame_sizes: tuple[int, ...]

    @property
    def frames(self) -> int:
        return len(self.frame_sizes)

    @property
    def size(self) -> int:
        return sum(self.frame_sizes)


def write_stream(out: BinaryIO, header: Mapping[str, Any], gops: Iterable[Gop]) -> int:
    """Write GOPs as they come; returns the size in bytes."""
    writer = Writer(out, header)
    for gop in gops:
        writer.append(gop.data)
    return writer.finish()


class StreamFile:
    """A stream in one file, mapped, or the largest rendition of a folder, read into memory.

    header: as of HEAD. gops: where its GOPs lie. truncated: the file's end is missing.

    Building one walks the chunk headers; payloads are checked when decoded. Raises UnreadableError.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            reader = Reader(as_file(Path(path))) if Path(path).is_dir() else Reader.open(path)
        except UnreadableError as error:
            raise type(error)(f"{path}: {error}") from error
        if "stream" not in reader.header:
            raise UnreadableError(f"{path}: holds a single scene, not a stream")
        self.header, self.size, self.truncated = reader.header, reader.size, reader.truncated
        self._reader = reader
        self.gops = places(reader.placed)
        if not self.gops:
            raise UnreadableError(f"{path}: cut off before its first frame is complete")
        self.frames = sum(place.frames for place in self.gops)

    def data(self, gop: Place) -> bytes:
        """The bytes that ``GopDecoder.frames`` takes."""
        return self._reader.raw(gop.offset, gop.size)

    def gop_of(self, frame: int) -> Place:
        """The GOP that holds a frame. Raises UnreadableError when there is none."""
        for place in self.gops:
            if place.first_frame <= frame < place.first_frame + place.frames:
                return place
        raise UnreadableError(f"the stream has frames 0 to {self.frames - 1}, not {frame}")


def places(chunks: Iterable[Placed]) -> tuple[Place, ...]:
    """The GOPs that a file's chunks, in file order, make up. Raises UnreadableError."""
    found: list[Place] = []
    number = 0
    for chunk in chunks:
        if chunk.kind not in (KEY, RESIDUAL):
            continue
        if chunk.kind == KEY:
            found.append(Place(len(found), number, chunk.offset, ()))
        if not found:
            raise UnreadableError("the first frame is no key frame: the file is corrupt")
        last = found[-1]
        found[-1] = Place(last.index, last.first_frame, last.offset, (*last.frame_sizes, CHUNK.size + chunk.length))
        number += 1
    return tuple(found)
