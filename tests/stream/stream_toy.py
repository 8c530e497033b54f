"""A stream whose frames tell their number, by a codec that does next to nothing: to test everything around it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from gscompress.context import Context
from gscompress.scene import Scene, Splats
from gscompress.stream import STREAM_CODECS
from gscompress.stream.base import FrameCodec, FrameDecoder, FrameEncoder, Streams
from gscompress.stream.client import StreamFrame
from gscompress.stream.file import write_stream
from gscompress.stream.folder import FolderWriter
from gscompress.stream.frames import encode_gops, header_for
from gscompress.stream.manifest import Manifest

COUNT, FPS, GOP = 40, 20.0, 4


def toy_scene(number: int) -> Scene:
    """Frame ``number``: a coloured row of Gaussians that steps to the right."""
    means = np.zeros((COUNT, 3), np.float32)
    means[:, 0] = np.linspace(-1, 1, COUNT) + 0.05 * number
    quats = np.tile(np.float32([1, 0, 0, 0]), (COUNT, 1))
    sizes, opacities = np.full((COUNT, 3), -1.5, np.float32), np.full(COUNT, 4, np.float32)
    colours = np.sin(np.linspace(0, 9, COUNT, dtype=np.float32)[:, None] + np.float32([0, 2, 4])) * np.float32(1.7)
    return Scene(Splats(means, sizes, quats, opacities, colours[:, None]))


def number_of(scene: Scene) -> int:
    """Which frame a decoded scene is, to the last bit; fails for one that is none."""
    number = round((float(scene.splats.means[0, 0]) + 1) / 0.05)
    assert np.array_equal(scene.splats.means, toy_scene(number).splats.means)
    return number


def within(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Run it, though not for ever."""
    asyncio.run(asyncio.wait_for(work(), seconds))


def numbers(frames: list[StreamFrame]) -> list[int]:
    """Which frames these are; fails when one is held or shows another."""
    assert not any(frame.held for frame in frames)
    assert [number_of(frame.scene) for frame in frames] == [frame.index for frame in frames]
    return [frame.index for frame in frames]


@dataclass(frozen=True)
class ToyCodec(FrameCodec):
    """Positions as they are; with more quality, more padding. A residual is added to what a decoder has in hand."""

    quality: float = 0.0

    name: ClassVar[str] = "toy"
    version: ClassVar[int] = 1

    def encoder(self, ctx: Context) -> FrameEncoder:
        return _Encoder(self)

    def decoder(self) -> FrameDecoder:
        return _Decoder()


class _Decoder(FrameDecoder):
    def __init__(self) -> None:
        self._words = np.zeros(3 * COUNT, np.uint32)

    def key(self, streams: Streams) -> None:
        self._words = np.frombuffer(streams["words"], np.uint32)

    def residual(self, streams: Streams) -> None:
        self._words = self._words + np.frombuffer(streams["words"], np.uint32)

    def scene(self) -> Scene:
        splats = toy_scene(0).splats
        means = self._words.view(np.float32).reshape(COUNT, 3).copy()
        return Scene(Splats(means, splats.log_scales, splats.quats, splats.logit_opacities, splats.sh))


class _Encoder(FrameEncoder):
    def __init__(self, codec: ToyCodec) -> None:
        self._padding = bytes(int(codec.quality) * 200)
        self._scene: Scene | None = None

    def key(self, scene: Scene) -> Streams:
        self._scene = scene
        return {"words": scene.splats.means.tobytes(), "padding": self._padding}

    def residual(self, scene: Scene) -> Streams:
        before, self._scene = self.scene(), scene
        change = scene.splats.means.view(np.uint32) - before.splats.means.view(np.uint32)
        return {"words": change.tobytes(), "padding": self._padding}

    def scene(self) -> Scene:
        assert self._scene is not None
        return self._scene


STREAM_CODECS.register("toy", ToyCodec)


def write_folder(folder: Path, frames: int, qualities: Sequence[int] = (1,), gop: int = GOP) -> Manifest:
    """A stream of toy frames as a folder, one rendition per quality, called q1 and so on."""
    codecs = {f"q{quality}": ToyCodec(quality) for quality in qualities}
    scenes = [toy_scene(number) for number in range(frames)]
    headers = {name: header_for(scenes[0], codec, fps=FPS, gop=gop, frames=frames) for name, codec in codecs.items()}
    writer = FolderWriter(folder, FPS, headers)
    for name, codec in codecs.items():
        for one in encode_gops(scenes, codec, Context(), FPS, gop):
            writer.add(name, one)
    return writer.publish(live=False)


def write_file(path: Path, frames: int) -> None:
    """The same in a single file."""
    scenes, codec = [toy_scene(number) for number in range(frames)], ToyCodec()
    header = header_for(scenes[0], codec, fps=FPS, gop=GOP, frames=frames)
    with path.open("wb") as out:
        write_stream(out, header, encode_gops(scenes, codec, Context(), FPS, GOP))
