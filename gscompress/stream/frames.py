"""A stream is a header and groups of pictures (GOPs); a GOP is bytes that decode given the header alone.

    GOP = chunk(KEYF) chunk(DIFF)*        one chunk per frame, each with its own checksum

A chunk's stream ``info`` says how many Gaussians the frame has and which frame it is. Whatever is damaged is found
before any of it is decoded: a frame comes out right or not at all.
"""

from __future__ import annotations

import lzma
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from gscompress import __version__
from gscompress.config import from_config, to_config
from gscompress.container.chunk import Chunk
from gscompress.container.piece import pack, unpack
from gscompress.context import Context
from gscompress.errors import GscompressError, UnreadableError, UsageError
from gscompress.frame import Frame
from gscompress.scene import Model, Scene
from gscompress.stream import STREAM_CODECS
from gscompress.stream.base import FrameCodec
from gscompress.transforms.clean import Clean

KEY, RESIDUAL = "KEYF", "DIFF"
_INFO = struct.Struct("<II")  # Gaussians, number of the frame
_DAMAGE = (ArithmeticError, LookupError, ValueError, TypeError, struct.error, lzma.LZMAError, MemoryError)


@dataclass(frozen=True, slots=True)
class Gop:
    """``data`` decodes on its own, given the stream's header.

    index: of the GOP. first_frame, frames: which frames it holds. frame_sizes: bytes of each; they add up to ``data``,
    so a prefix of whole frames can be fetched. facts: gaussians, seconds (to encode), quality.
    """

    index: int
    first_frame: int
    frames: int
    data: bytes
    frame_sizes: tuple[int, ...]
    facts: dict[str, Any] = field(default_factory=dict)


def header_for(
    first: Scene, codec: FrameCodec, *, fps: float, gop: int, frames: int | None = None, meta: Any = None
) -> dict[str, Any]:
    """The JSON object that describes a stream: what HEAD of a file and the init segment of a folder hold.

    ``frames`` is None while the stream goes on (live).
    """
    return {
        "writer": f"gscompress {__version__}",
        "scene": {
            "gaussians": len(first),
            "sh_degree": first.splats.sh_degree,
            "frame": first.frame.axes,
            "model": first.model,
            "meta": meta or {},
        },
        "codec": {"name": codec.name, "version": codec.version, "config": to_config(codec)},
        "stream": {"fps": float(fps), "gop": int(gop), "frames": frames},
    }


def encode_gops(
    sequence: Iterable[Scene],
    codec: FrameCodec,
    ctx: Context,
    fps: float = 30.0,
    gop: int = 30,
    first_frame: int = 0,
) -> Iterator[Gop]:
    """Encode scenes as they come; a GOP is yielded when its last frame is done, so a live source works too.

    Frames in other axes are turned into those of the first; what no renderer can draw is left out. Raises UsageError.
    """
    if not 1 <= gop <= 100_000:
        raise UsageError(f"a GOP of {gop} frames is out of range (1 to 100,000)")
    axes: Frame | None = None
    clean = Clean()
    encoder = codec.encoder(ctx)
    index, first, packed, facts = 0, first_frame, list[bytes](), dict[str, Any]()

    def done() -> Gop:
        return Gop(index, first, len(packed), b"".join(packed), tuple(map(len, packed)), facts)

    for number, given in enumerate(sequence, first_frame):
        axes = axes or given.frame
        scene = clean(given.in_frame(axes), ctx)
        started = time.perf_counter()
        streams = encoder.residual(scene) if packed else None
        kind = KEY if streams is None else RESIDUAL
        if streams is None:
            if packed:
                yield done()
                index, first, packed = index + 1, number, []
            facts = {"gaussians": len(scene), "seconds": 0.0, "quality": codec.quality}
            streams = encoder.key(scene)
        info = _INFO.pack(len(encoder.scene()), number)
        packed.append(pack(Chunk(kind, 0, {"info": info, **streams})))
        facts["seconds"] += time.perf_counter() - started
        if len(packed) == gop:  # not only when the next frame comes: a live source may take its time
            yield done()
            index, first, packed = index + 1, number + 1, []
    if packed:
        yield done()


class GopDecoder:
    """Decodes GOPs of one stream. fps: frames per second. gop: most frames of a GOP. total: frames, None if unknown."""

    def __init__(self, header: Mapping[str, Any]) -> None:
        """Raises UnreadableError for a header that is no stream's, or one of a later version."""
        try:
            scene, codec, stream = header["scene"], header["codec"], header["stream"]
            self._axes, self._model, self._meta = Frame(scene["frame"]), scene["model"], scene["meta"]
            self.codec = _built(codec["name"], codec["version"], codec["config"])
            self.fps, self.gop, self.total = float(stream["fps"]), int(stream["gop"]), stream["frames"]
        except (KeyError, TypeError, AttributeError, ValueError, UsageError) as error:
            raise UnreadableError(f"not the header of a stream ({error})") from None
        if self._model not in get_args(Model) or not isinstance(self._meta, dict) or not 0 < self.fps <= 1000:
            raise UnreadableError("the stream's header has values out of range: the file is corrupt")

    def frames(self, data: bytes | memoryview, start: int = 0) -> Iterator[tuple[int, Scene]]:
        """(number of the frame, scene) of a GOP, from frame number ``start`` on.

        Frames before the first damage are yielded, then UnreadableError is raised: no wrong frame comes out.
        """
        decoder, expected = self.codec.decoder(), None  # the number that comes next, once one is known
        for chunk in unpack(data):
            if chunk.kind not in (KEY, RESIDUAL):
                if chunk.kind[0].islower():
                    continue
                raise UnreadableError(f"chunk type '{chunk.kind}' is unknown to this gscompress: upgrade to play")
            if len(chunk.streams.get("info", b"")) != _INFO.size:
                raise UnreadableError("a frame lacks its number: the file is corrupt")
            count, number = _INFO.unpack(chunk.streams["info"])
            if expected not in (None, number) or (chunk.kind == KEY) != (expected is None):
                raise UnreadableError(f"frame {number} comes where another should be: the segment is corrupt")
            try:
                (decoder.key if chunk.kind == KEY else decoder.residual)(chunk.streams)
                scene = decoder.scene() if number >= start else None
            except GscompressError:
                raise
            except _DAMAGE as error:
                raise UnreadableError(f"frame {number} cannot be decoded: it is corrupt ({error})") from error
            expected = number + 1
            if scene is not None:
                if len(scene) != count:
                    raise UnreadableError(f"frame {number} has {len(scene)} Gaussians, not {count}: it is corrupt")
                yield number, replace(scene, frame=self._axes, model=self._model, meta=self._meta)


def _built(name: str, version: Any, config: dict[str, Any]) -> FrameCodec:
    if name not in STREAM_CODECS:
        raise UnreadableError(f"the stream needs the codec '{name}', which this gscompress does not have: upgrade")
    cls = STREAM_CODECS.get(name)
    if not isinstance(version, int) or version > cls.version:
        raise UnreadableError(f"the stream needs version {version} of the codec '{name}': upgrade gscompress")
    return from_config(cls, config)
