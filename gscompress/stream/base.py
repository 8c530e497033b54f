"""The contract of a stream codec: what turns a scene into a key frame or a residual frame, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from gscompress.context import Context
from gscompress.scene import Scene

Streams = Mapping[str, bytes]


class FrameDecoder(ABC):
    """Holds the latest frame. One decoder decodes one GOP: its first frame is a key frame."""

    @abstractmethod
    def key(self, streams: Streams) -> None:
        """Take a frame that stands on its own. Raises UnreadableError."""

    @abstractmethod
    def residual(self, streams: Streams) -> None:
        """Take the difference to the frame before. Raises UnreadableError."""

    @abstractmethod
    def scene(self) -> Scene:
        """The latest frame, in default axes; the caller adds frame, model and metadata of the stream."""


class FrameEncoder(ABC):
    """Closed loop: every residual is against what a decoder has by then."""

    @abstractmethod
    def key(self, scene: Scene) -> Streams:
        """A frame that stands on its own: the first of a GOP."""

    @abstractmethod
    def residual(self, scene: Scene) -> Streams | None:
        """The difference to the frame before, or None: better start anew with a key frame."""

    @abstractmethod
    def scene(self) -> Scene:
        """The latest frame as a decoder has it."""


class FrameCodec(ABC):
    """A frozen dataclass whose fields are the stored config and the command line's options.

    version: raised whenever the bytes change; decoders keep every version they ever had. cites: the method's source.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    cites: ClassVar[str] = ""
    quality: float

    @abstractmethod
    def encoder(self, ctx: Context) -> FrameEncoder:
        """A fresh encoder of a stream; it judges by ``ctx.cameras`` when the context has a renderer."""

    @abstractmethod
    def decoder(self) -> FrameDecoder:
        """A fresh decoder of one GOP."""
