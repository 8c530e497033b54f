"""Key frames: the chunks of the default codec packed into the streams of one chunk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs.default import DefaultCodec
from gscompress.codecs.geometry import Classes
from gscompress.codecs.part import Shared
from gscompress.codecs.plan import Plan
from gscompress.codecs.skeleton import Skeleton, blank
from gscompress.container.chunk import Chunk, pack_streams, unpack_streams
from gscompress.context import Context
from gscompress.errors import UnreadableError
from gscompress.scene import Scene, Splats
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


@dataclass(frozen=True, slots=True)
class Key:
    """A decoded key frame and what later frames build on: precision classes and near earlier rows of every row."""

    shared: Shared
    splats: Splats
    classes: Classes
    near: npt.NDArray[np.int32]


def encode_key(scene: Scene, codec: DefaultCodec, ctx: Context) -> tuple[dict[str, bytes], npt.NDArray[np.int64]]:
    """The streams, and which row of the scene each decoded row is (a codec prunes and sorts)."""
    plan, rows = planned(scene, codec, ctx)
    return nest(plan.chunks()), rows


def planned(scene: Scene, codec: DefaultCodec, ctx: Context) -> tuple[Plan, npt.NDArray[np.int64]]:
    """What a key frame would be, and which row of the scene each of its rows is."""
    rows = {"row": np.arange(len(scene))}
    plan = codec.plan(replace(scene, splats=replace(scene.splats, extras=rows)), ctx)
    return plan, np.asarray(plan.splats.extras["row"], np.int64)


def decode_key(streams: Streams) -> Key:
    """Raises UnreadableError."""
    chunks = list(unnest(streams))
    bases = [chunk.streams for chunk in chunks if chunk.kind == "BASE"]
    bands = [chunk.streams for chunk in chunks if chunk.kind == "BAND"]
    if not bases or chunks[0].kind != "PARM" or len(bands) % len(bases):
        raise UnreadableError("a key frame lacks its parameters or its parts: the file is corrupt")
    shared = Shared.unpack(chunks[0].streams)
    rest = [bands[i :: len(bases)] for i in range(len(bases))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        skeletons = list(pool.map(Skeleton.decode, bases, [shared] * len(bases)))
        blocks = [blank(len(skeleton), shared.sh_columns) for skeleton in skeletons]
        work = [pool.submit(s.geometry, base, into) for s, base, into in zip(skeletons, bases, blocks)]
        work += [pool.submit(s.colour, own, into) for s, own, into in zip(skeletons, rest, blocks)]  # type: ignore[arg-type]
        for done in work:
            done.result()
    return joined([Key(shared, splats, s.classes, s.near) for s, splats in zip(skeletons, blocks)])


def decode_block(base: Streams, bands: Sequence[Streams], shared: Shared) -> Key:
    """One part on its own: its base, then its bands of SH. Raises UnreadableError."""
    skeleton = Skeleton.decode(base, shared)
    splats = blank(len(skeleton), shared.sh_columns)
    skeleton.geometry(base, splats)
    skeleton.colour(bands, splats)
    return Key(shared, splats, skeleton.classes, skeleton.near)


def joined(parts: list[Key]) -> Key:
    """Rows of several behind each other; near rows stay near."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.splats) for part in parts)])[:-1]
    near = [np.where(part.near >= 0, part.near + start, -1) for part, start in zip(parts, starts)]
    shape, colour = (np.concatenate([getattr(p.classes, name) for p in parts]) for name in ("shape", "colour"))
    splats = concatenated([part.splats for part in parts])
    return Key(parts[0].shared, splats, Classes(shape, colour), np.concatenate(near).astype(np.int32))


def concatenated(parts: list[Splats]) -> Splats:
    """Rows of several, without extras."""
    names = ("means", "log_scales", "quats", "logit_opacities", "sh")
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Splats(**columns)
