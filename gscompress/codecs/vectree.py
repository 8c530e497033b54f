"""VecTree, LightGaussian's storage: positions in an octree, SH of the less important Gaussians as codebook indices, the
rest in half precision.

Half-precision values are coded without loss (entropy/float_columns.py). A rotation is stored as the place of its
largest component and the three others as multiples of it. A position has bits down to a share of the Gaussian's size.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs.geometry import decode_one, encode_one
from gscompress.codecs.positions import (
    Box,
    decode_fine,
    encode_coarse,
    encode_fine,
    order,
    wanted_levels,
)
from gscompress.entropy.float_columns import decode_columns, encode_columns
from gscompress.entropy.neighbours import nearest_earlier
from gscompress.entropy.octree import decode_tree
from gscompress.entropy.plane import Shape, Side
from gscompress.errors import UnreadableError
from gscompress.quant.exact import LOG2E
from gscompress.scene import Splats

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
_INFO = struct.Struct("<IBI")  # Gaussians, SH degree, codes
_SYMBOLS = Shape(columns=1, first_classes=1, second_classes=1, signed=False)
_OCTAVES_BELOW = 5.0  # a position's cell is this many octaves smaller than the Gaussian's second largest scale
_LARGEST = 65504.0  # of half precision
_BYTES_PER_ROW = 2  # no file has fewer: more Gaussians than half its bytes are a lie


@dataclass(frozen=True)
class VecTree:
    """splats: SH of rows with a code are not looked at. which: (N,) code of each row, -1 for SH of its own.

    codes: (C, K, 3).
    """

    splats: Splats
    which: I64
    codes: F32

    def pack(self) -> dict[str, bytes]:
        """The streams; Gaussians in Morton order, codes by brightness."""
        box = Box.around(self.splats.means)
        rows = order(box, self.splats.means)
        splats, which = self.splats.take(rows), self.which[rows]
        bright = np.argsort(self.codes[:, 0].sum(1), kind="stable")
        scales = half(splats.log_scales)
        tree, coarse, known = encode_coarse(box, splats.means)
        shared = which >= 0
        place, ratios = _ratios(splats.quats)
        near, rank = nearest_earlier(coarse), np.argsort(bright, kind="stable")
        return {
            "info": _INFO.pack(len(splats), splats.sh_degree, len(self.codes)),
            "box": box.pack(),
            "scale": pack_half(scales),
            "position.tree": tree,
            "position.fine": encode_fine(box, splats.means, known, _wanted(box, scales)),
            "opacity": pack_half(splats.logit_opacities[:, None]),
            "rotation.place": encode_one(_SYMBOLS, place[:, None], Side()),
            "rotation": pack_half(ratios),
            "sh.shared": encode_one(_SYMBOLS, shared[:, None], Side(near=near)),
            "sh.codes": pack_half(_flat(self.codes[bright]), 3),
            "sh.indices": encode_one(
                _SYMBOLS, rank[which[shared]][:, None], Side(near=nearest_earlier(coarse[shared]))
            ),
            "sh.own": pack_half(_flat(splats.sh[~shared]), 3),
        }

    @staticmethod
    def unpack(streams: Mapping[str, bytes]) -> Splats:
        """The Gaussians. Raises UnreadableError."""
        rows, degree, codes = _INFO.unpack(streams["info"])
        if degree > 3 or max(rows, codes) * _BYTES_PER_ROW > sum(map(len, streams.values())):
            raise UnreadableError(f"claims {rows:,} Gaussians: refused as corrupt or a decompression bomb")
        box, bands = Box.unpack(streams["box"]), (degree + 1) ** 2
        scales = unpack_half(streams["scale"], rows, 3)
        coarse, known = decode_tree(streams["position.tree"], rows)
        means = decode_fine(box, streams["position.fine"], coarse, known, _wanted(box, scales))
        place = _below(4, decode_one(_SYMBOLS, streams["rotation.place"], rows, Side())[:, 0])
        ratios = unpack_half(streams["rotation"], rows, 3)
        near = Side(near=nearest_earlier(coarse))
        shared = _below(2, decode_one(_SYMBOLS, streams["sh.shared"], rows, near)[:, 0]) == 1
        near = Side(near=nearest_earlier(coarse[shared]))
        book = unpack_half(streams["sh.codes"], codes, bands * 3, 3)
        count = int(shared.sum())
        indices = _below(codes, decode_one(_SYMBOLS, streams["sh.indices"], count, near)[:, 0])
        sh = np.empty((rows, bands * 3), np.float32)
        sh[shared] = book[indices]
        sh[~shared] = unpack_half(streams["sh.own"], rows - count, bands * 3, 3)
        opacity = unpack_half(streams["opacity"], rows, 1)[:, 0]
        return Splats(means, scales, _quats(place, ratios), opacity, sh.reshape(rows, bands, 3))


def half(values: npt.NDArray[Any]) -> F32:
    """Rounded to half precision, cut off at its range."""
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float16).astype(np.float32)


def pack_half(values: npt.NDArray[Any], stride: int = 1) -> bytes:
    return encode_columns(np.ascontiguousarray(half(values)).view(np.uint32), stride)


def unpack_half(data: bytes, rows: int, columns: int, stride: int = 1) -> F32:
    values = decode_columns(data, rows, columns, stride).view(np.float32)
    if not np.isfinite(values).all():
        raise UnreadableError("a value is not finite: the file is corrupt")
    return values


def _flat(sh: F32) -> F32:
    return sh.reshape(len(sh), -1) if len(sh) else sh.reshape(0, sh.shape[1] * 3)


def _wanted(box: Box, scales: F32) -> I64:
    """Binary levels of each position. scales: (N, 3) decoded log scales."""
    middle = np.clip(np.sort(scales.astype(np.float64), axis=1)[:, 1], -60, 60)
    return wanted_levels(box, np.floor(middle * LOG2E) - _OCTAVES_BELOW)


def _below(limit: int, symbols: I64) -> I64:
    if len(symbols) and symbols.max() >= limit:
        raise UnreadableError("a symbol is out of range: the file is corrupt")
    return symbols


def _ratios(quats: F32) -> tuple[I64, F32]:
    """Place (N,) of the largest component and the three others (N, 3) divided by it."""
    place = np.argmax(np.abs(quats), axis=1)
    largest = quats[np.arange(len(quats)), place]
    others = quats[_others(place)].reshape(len(quats), 3)
    return place, others / np.where(largest == 0, 1, largest)[:, None]


def _others(place: I64) -> tuple[Any, ...]:
    return np.nonzero(np.arange(4) != place[:, None])


def _quats(place: I64, ratios: F32) -> F32:
    """Unit quaternions, wxyz."""
    quats = np.ones((len(place), 4))
    quats[_others(place)] = ratios.ravel()
    return (quats / np.sqrt((quats * quats).sum(1, keepdims=True))).astype(np.float32)
