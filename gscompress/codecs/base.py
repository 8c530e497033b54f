"""The contract of a codec: a frozen dataclass whose fields are the stored config, the CLI flags and the repr."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

from gscompress.container.chunk import Chunk
from gscompress.context import Context
from gscompress.errors import UnreadableError
from gscompress.scene import Scene

PHOTOS_OR_RENDERS = "photos or renders"


class Codec(ABC):
    """Scene → chunks → scene. Two codecs may share a ``name`` only if each decodes the other's chunks.

    version: raised whenever the bytes change; decoders keep every version they ever had.
    cites: the source of the method.
    A chunk that brings Gaussians starts its stream "info" with their number (u32): ``info`` counts them undecoded.
    kinds: the chunk types that ``encode`` emits and ``decode`` understands; files with other critical ones are refused.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    cites: ClassVar[str] = ""
    kinds: ClassVar[frozenset[str]] = frozenset({"BASE", "FINE"})

    @property
    def needs(self) -> frozenset[str]:
        """What should be in the Context besides the scene: "renderer" to judge by renders, "photos" without which it
        cannot work, PHOTOS_OR_RENDERS when renders of the original do in place of photos."""
        return frozenset()

    @abstractmethod
    def encode(self, scene: Scene, ctx: Context) -> Iterator[Chunk]:
        """Yield chunks, coarse first. Same scene, config and seed: same bytes."""

    @abstractmethod
    def decode(self, chunks: Iterable[Chunk]) -> Iterator[Scene]:
        """Yield the best scene known after every level. No float decides a symbol. Raises UnreadableError."""

    def decode_whole(self, chunks: Iterable[Chunk]) -> Scene:
        """The last scene that ``decode`` yields; codecs that get there faster override it. Raises UnreadableError."""
        levels = list(self.decode(chunks))
        if not levels:
            raise UnreadableError("the file holds no scene")
        return levels[-1]
