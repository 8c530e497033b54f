"""Gaussians that come and go between key frames: a mask of who vanishes, a small key frame of who appears."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gscompress.codecs import colour
from gscompress.codecs.geometry import Classes, decode_one, encode_one
from gscompress.codecs.part import encode_bands, encode_base
from gscompress.codecs.positions import Box, order
from gscompress.container.chunk import pack_streams, unpack_streams
from gscompress.entropy.plane import Shape, Side
from gscompress.scene import Splats
from gscompress.stream.base import Streams
from gscompress.stream.keyframe import Key, decode_block
from gscompress.stream.nearest import nearest
from gscompress.stream.state import State

I64 = npt.NDArray[np.int64]
_GONE = Shape(columns=1, first_classes=1, second_classes=1, signed=False)


def encode_gone(gone: npt.NDArray[np.bool_], state: State) -> dict[str, bytes]:
    """Stream "gone", none when all rows stay. gone: (N,)."""
    return {"gone": encode_one(_GONE, gone[:, None].astype(np.int64), Side(near=state.near))} if gone.any() else {}


def without_gone(streams: Streams, state: State) -> State:
    """The rows that stay. Raises UnreadableError."""
    if "gone" not in streams:
        return state
    return state.kept(decode_one(_GONE, streams["gone"], len(state), Side(near=state.near))[:, 0] == 0)


def with_new(streams: Streams, state: State) -> State:
    """And those that appear. Raises UnreadableError."""
    return state.with_rows(decode_new(streams["new"], state)) if "new" in streams else state


def encode_new(splats: Splats, rows: I64, state: State) -> tuple[bytes, I64]:
    """New Gaussians (source rows ``rows``) with the classes of the present ones nearest to them, and ``rows`` in coded
    order."""
    box = Box.around(splats.means)
    sequence = order(box, splats.means)
    splats, rows = splats.take(sequence), rows[sequence]
    none = np.zeros((len(state), 0))
    like, _ = nearest(state.means, splats.means.astype(np.float64), none, np.zeros((len(rows), 0)))
    typical = [int(np.median(c)) if len(state) else 3 for c in (state.classes.shape, state.classes.colour)]
    classes = Classes(
        np.where(like >= 0, np.append(state.classes.shape, typical[0])[like], typical[0]),
        np.where(like >= 0, np.append(state.classes.colour, typical[1])[like], typical[1]),
    )
    shared = replace(state.shared, box=box)
    base, near = encode_base(splats, classes, shared)
    scaled = shared.basis.analyse(splats.sh[:, 1:]) / shared.steps.of("sh", classes.colour)[:, None]
    bands = encode_bands(np.floor(scaled + 0.5).astype(np.int64), classes, near, shared)
    parts = {"box": box.pack(), "base": pack_streams(base)}
    parts |= {f"band{k}": pack_streams(band) for k, band in enumerate(bands)}
    return pack_streams(parts), rows


def decode_new(data: bytes, state: State) -> Key:
    """Raises UnreadableError, KeyError for a missing stream."""
    parts = unpack_streams(data)
    shared = replace(state.shared, box=Box.unpack(parts["box"]))
    bands = [unpack_streams(parts[f"band{k}"]) for k in range(len(colour.bands(shared.sh_columns)))]
    return replace(decode_block(unpack_streams(parts["base"]), bands, shared), shared=state.shared)
