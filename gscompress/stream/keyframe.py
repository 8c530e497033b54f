"""Key frames: the chunks of the default codec packed into the streams of one chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gscompress.container.chunk import Chunk, pack_streams, unpack_streams
from gscompress.errors import UnreadableError
from gscompress.stream.base import Streams


def nest(chunks: Iterable[Chunk]) -> dict[str, bytes]:
    """Each chunk as one stream, named by its number, kind and level."""
    return {f"{i}.{chunk.kind}.{chunk.level}": pack_streams(chunk.streams) for i, chunk in enumerate(chunks)}


def unnest(streams: Streams) -> Iterator[Chunk]:
    """The reverse, in order; streams of other names are skipped. Raises UnreadableError."""
    for name, data in streams.items():
        number, _, rest = name.partition(".")
        if number.isdecimal():
            kind, _, level = rest.partition(".")
            if len(kind) != 4 or not level.isdecimal() or int(level) > 255:
                raise UnreadableError(f"a key frame has a stream called {name!r:.40}: the file is corrupt")
            yield Chunk(kind, int(level), unpack_streams(data))
