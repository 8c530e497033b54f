"""Every frame on its own, by the default codec: what residual frames are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gscompress.codecs.default import DefaultCodec
from gscompress.context import Context
from gscompress.errors import UnreadableError
from gscompress.scene import Scene
from gscompress.stream.base import FrameCodec, FrameDecoder, FrameEncoder, Streams
from gscompress.stream.keyframe import nest, unnest


@dataclass(frozen=True)
class IntraCodec(FrameCodec):
    """quality: 0 to 100, that of the default codec."""

    quality: float = 50.0

    name: ClassVar[str] = "intra"
    version: ClassVar[int] = 1

    def encoder(self, ctx: Context) -> FrameEncoder:
        return _Encoder(DefaultCodec(quality=self.quality), ctx)

    def decoder(self) -> FrameDecoder:
        return _Decoder()


class _Decoder(FrameDecoder):
    def __init__(self) -> None:
        self._scene: Scene | None = None

    def key(self, streams: Streams) -> None:
        self._scene = DefaultCodec().decode_whole(unnest(streams))

    def residual(self, streams: Streams) -> None:
        raise UnreadableError("a stream of frames on their own has a residual frame: the file is corrupt")

    def scene(self) -> Scene:
        if self._scene is None:
            raise UnreadableError("no frame has been decoded yet")
        return self._scene


class _Encoder(FrameEncoder):
    def __init__(self, codec: DefaultCodec, ctx: Context) -> None:
        self._codec, self._ctx, self._decoder = codec, ctx, _Decoder()

    def key(self, scene: Scene) -> Streams:
        streams = nest(self._codec.encode(scene, self._ctx))
        self._decoder.key(streams)
        return streams

    def residual(self, scene: Scene) -> Streams | None:
        return None

    def scene(self) -> Scene:
        return self._decoder.scene()
