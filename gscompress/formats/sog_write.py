"""From Splats to the pictures of a SOG version 2 file. Everything is rounded, nothing truncated."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.formats import sog_codebook
from gscompress.formats.morton import morton_order
from gscompress.formats.packed_values import drop_largest, opacity_bytes, sigmoid
from gscompress.formats.sog_read import MAX_PALETTE, PALETTE_COLUMNS
from gscompress.formats.webp_images import encode
from gscompress.scene import Splats

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
# What lies beyond (nothing that was trained does) is clamped, so that one value cannot spoil a codebook.
LOG_SCALE_RANGE = 20.0
SH_RANGE = 100.0


@dataclass(slots=True)
class Pictures:
    """The parts of a file under construction: WebP bytes by name, and ``meta.json``."""

    files: dict[str, bytes] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)


def encode_splats(splats: Splats, palette: int) -> tuple[Pictures, F32 | None]:
    """All pictures of a scene, and the SH coefficients as they will be read (for the error report; None at degree 0).

    ``palette``: the largest number of SH palette entries.
    """
    splats = splats.take(row_order(splats.means))
    out = Pictures(meta={"version": 2, "count": len(splats)})
    _put_means(out, splats)
    _put(out, "quats", _quats(splats))
    out.meta["quats"] = {"files": ["quats.webp"]}
    scales = np.clip(splats.log_scales, -LOG_SCALE_RANGE, LOG_SCALE_RANGE)
    _put_coded(out, "scales", scales, np.full(len(splats), 255, np.uint8))
    _put_coded(out, "sh0", np.clip(splats.sh[:, 0], -SH_RANGE, SH_RANGE), opacity_bytes(splats.logit_opacities))
    return out, _put_rest(out, splats, palette) if splats.sh_degree else None


def row_order(means: F32) -> npt.NDArray[np.intp]:
    """The order in which a file holds the rows of a scene: neighbours in space become neighbours in the pictures."""
    return morton_order(_logs(means))


def palette_size(count: int, most: int) -> int:
    """splat-transform's choice: a power of two of about the number of Gaussians, up to 65,536."""
    return min(most, MAX_PALETTE, 1 << max(6, math.floor(math.log2(max(count, 1)))))


def _logs(means: F32) -> npt.NDArray[np.float64]:
    return np.sign(means) * np.log1p(np.abs(means.astype(np.float64)))


def _log_steps(means: F32) -> tuple[npt.NDArray[np.uint16], list[float], list[float]]:
    """(N, 3) numbers 0..65535, and the minimum and maximum of each axis, of sign(x) ln(1 + |x|)."""
    logs = _logs(means)
    low, high = logs.min(axis=0), logs.max(axis=0)
    span = np.where(high > low, high - low, 1)
    return np.rint((logs - low) / span * 65535).astype(np.uint16), low.tolist(), high.tolist()


def _put(out: Pictures, name: str, rows: U8) -> None:
    """Store (N, 4) bytes as a picture of the reference's proportions; pixels after the last row are zero."""
    width = max(4, math.ceil(math.sqrt(len(rows)) / 4) * 4)
    height = max(4, math.ceil(len(rows) / width / 4) * 4)
    pixels = np.zeros((height * width, 4), np.uint8)
    pixels[: len(rows)] = rows
    out.files[f"{name}.webp"] = encode(pixels.reshape(height, width, 4))


def _opaque(rows: U8) -> U8:
    """(N, 1 to 3) bytes as (N, 4): missing channels 0, alpha 255."""
    out = np.zeros((len(rows), 4), np.uint8)
    out[:, : rows.shape[1]] = rows
    out[:, 3] = 255
    return out


def _put_means(out: Pictures, splats: Splats) -> None:
    steps, low, high = _log_steps(splats.means) if len(splats) else (np.zeros((0, 3), np.uint16), [0.0] * 3, [0.0] * 3)
    _put(out, "means_l", _opaque((steps & 255).astype(np.uint8)))
    _put(out, "means_u", _opaque((steps >> 8).astype(np.uint8)))
    out.meta["means"] = {"mins": low, "maxs": high, "files": ["means_l.webp", "means_u.webp"]}


def _quats(splats: Splats) -> U8:
    largest, three = drop_largest(splats.quats)
    rows = np.empty((len(splats), 4), np.uint8)
    rows[:, :3] = np.clip(np.rint(three * (math.sqrt(2) * 127.5) + 127.5), 0, 255)
    rows[:, 3] = 252 + largest
    return rows


def _put_coded(out: Pictures, name: str, values: F32, alpha: U8) -> None:
    book = sog_codebook.fit(values)
    _put(out, name, np.concatenate([sog_codebook.nearest(values, book), alpha[:, None]], axis=1))
    out.meta[name] = {"codebook": _short(book), "files": [f"{name}.webp"]}


def _put_rest(out: Pictures, splats: Splats, most: int) -> F32:
    """SH of degree 1 and above as labels into a palette, whose numbers come from a codebook in turn."""
    from gscompress.formats import sog_palette  # it compiles a kernel, which readers should not wait for

    rest = np.clip(splats.sh[:, 1:], -SH_RANGE, SH_RANGE)
    coefficients = rest.shape[1]
    # Errors count by opacity: on the plush test scene that is worth 3 dB over counting all alike.
    weights = (sigmoid(splats.logit_opacities) + 1e-3).astype(np.float32)
    palette, label = sog_palette.fit(
        rest.reshape(len(splats), 3 * coefficients), weights, palette_size(len(splats), most)
    )
    # Numbered by first use along the Z curve, labels mostly count upwards, which halves their picture.
    used, first, label = np.unique(label, return_index=True, return_inverse=True)
    order = np.argsort(first)
    palette, label = palette[used[order]], np.argsort(order)[label]
    book = sog_codebook.fit(palette)
    rows = max(1, -(-len(palette) // PALETTE_COLUMNS))
    entries = np.zeros((rows * PALETTE_COLUMNS, coefficients, 3), np.uint8)
    entries[: len(palette)] = sog_codebook.nearest(palette, book).reshape(-1, coefficients, 3)
    pixels = np.full((*entries.shape[:2], 4), 255, np.uint8)
    pixels[..., :3] = entries
    out.files["shN_centroids.webp"] = encode(pixels.reshape(-1, PALETTE_COLUMNS * coefficients, 4))
    _put(out, "shN_labels", _opaque(np.stack([label & 255, label >> 8], axis=1).astype(np.uint8)))
    out.meta["shN"] = {
        "count": len(palette),
        "bands": splats.sh_degree,
        "codebook": _short(book),
        "files": ["shN_centroids.webp", "shN_labels.webp"],
    }
    return book[entries[label]] - splats.sh[:, 1:]


def _short(book: F32) -> list[float]:
    """The shortest decimal numbers that give the same float32 values."""
    return [float(str(value)) for value in book]
