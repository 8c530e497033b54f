"""From the pictures of a SOG file to Splats: version 2 (codebooks), and version 1 (linear ranges).

Row i of every array is pixel i of every picture, row by row. Specification:
https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/sog
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.formats.bundle import Bundle, is_plain
from gscompress.formats.limits import check_expansion
from gscompress.formats.packed_values import LOGITS, restore_largest
from gscompress.formats.webp_images import decode
from gscompress.scene import Splats

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
META = "meta.json"
PALETTE_COLUMNS = 64  # palette entries side by side in one row of the centroid picture
MAX_PALETTE = 65536
_META_LIMIT = 8 << 20
_FREE_PIXELS = 1 << 22  # a picture may always be this large, and otherwise 8 times what the count needs
_MAX_LOG = 80.0  # exp(80) is still a float32
_IDENTITY = np.array([1, 0, 0, 0], np.float32)


@dataclass(frozen=True, slots=True)
class Source:
    """Where to read from, and what ``meta.json`` says. ``stored``: bytes of the file or folder."""

    path: Path
    bundle: Bundle
    meta: Mapping[str, Any]
    stored: int

    def part(self, name: str) -> Mapping[str, Any]:
        part = self.meta.get(name)
        if not isinstance(part, dict):
            raise UnreadableError(f"{self.path}: {META} has no '{name}'")
        return part

    def numbers(self, part: str, key: str, low: int, high: int) -> npt.NDArray[np.float64]:
        """``low`` to ``high`` finite numbers of a list (or one number, where low is 1)."""
        value = self.part(part).get(key)
        items = [value] if isinstance(value, (int, float)) else value
        if not isinstance(items, list) or not low <= len(items) <= high:
            raise UnreadableError(f"{self.path}: {part}.{key} is not a list of {high} numbers")
        if key == "codebook" and items[0] is None and all(isinstance(x, float) for x in items[1:]) and len(items) > 2:
            # Some early writers left the first entry empty; viewers extend the others by one mean step.
            items = [items[1] + (items[1] - items[-1]) / (len(items) - 1), *items[1:]]
        if not all(isinstance(x, (int, float)) and abs(x) < 1e30 for x in items):
            raise UnreadableError(f"{self.path}: {part}.{key} holds something that is no number")
        return np.array(items, np.float64)

    def picture(self, part: str, index: int, pixels: int) -> U8:
        """(H, W, 4) bytes of picture ``index``, which has at least ``pixels`` pixels."""
        files = self.part(part).get("files")
        name = files[index] if isinstance(files, list) and index < len(files) else None
        if not isinstance(name, str) or not is_plain(name):
            raise UnreadableError(f"{self.path}: {part}.files names no picture {index}")
        limit = max(_FREE_PIXELS, 8 * pixels)
        where = f"{self.path}: {name}"
        image = decode(self.bundle.read(name, 4 * limit + 65536), where, limit)
        if image.shape[0] * image.shape[1] < pixels:
            raise UnreadableError(f"{where}: {image.shape[1]} x {image.shape[0]} pixels, expected at least {pixels:,}")
        return image

    def rows(self, part: str, index: int, count: int) -> U8:
        """(count, 4) bytes of a picture with one pixel per Gaussian."""
        return self.picture(part, index, count).reshape(-1, 4)[:count]


def parse_meta(path: Path, data: bytes) -> Mapping[str, Any]:
    """``meta.json`` as a dictionary. Raises UnreadableError."""
    try:
        meta = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{path}: {META} is not JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(meta, dict) or not isinstance(meta.get("means"), dict):
        raise UnreadableError(f"{path}: {META} describes no SOG scene")
    return meta


def read_source(path: Path, bundle: Bundle, stored: int) -> Source:
    return Source(path, bundle, parse_meta(path, bundle.read(META, _META_LIMIT)), stored)


def version_of(source: Source) -> int:
    """1 or 2. Raises UnreadableError for a newer one."""
    version = source.meta.get("version", 1)
    if version not in (1, 2) or isinstance(version, bool):
        raise UnreadableError(
            f"{source.path}: SOG version {version!r:.40}, expected 1 or 2: written by a newer program?"
        )
    return int(version)


def read_splats(source: Source, log: EventLog) -> Splats:
    """All attributes of a version 1 or 2 scene. Raises UnreadableError."""
    version = version_of(source)
    count = _count(source, version)
    check_expansion(source.path, count, 16 if "shN" in source.meta else 1, source.stored)
    means = _means(source, count)
    quats = _quats(source, count, log)
    scales, sh0 = source.rows("scales", 0, count), source.rows("sh0", 0, count)
    if version == 2:
        log_scales = _look_up(source, "scales", scales[:, :3])
        dc, logits = _look_up(source, "sh0", sh0[:, :3]), LOGITS[sh0[:, 3]]
        _note_opaque(source, sh0[:, 3], log)
    else:
        log_scales = _spread(source, "scales", scales[:, :3])
        colour = _spread(source, "sh0", sh0)
        dc, logits = colour[:, :3], np.ascontiguousarray(colour[:, 3])
    rest = _rest(source, version, count, log) if source.meta.get("shN") else np.empty((count, 0, 3), np.float32)
    return Splats(means, log_scales, quats, logits, np.concatenate([dc[:, None], rest], axis=1))


def _count(source: Source, version: int) -> int:
    value = source.meta.get("count")
    if version == 1:
        shape = source.part("means").get("shape")
        value = shape[0] if isinstance(shape, list) and shape else None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_PALETTE * MAX_PALETTE:
        raise UnreadableError(f"{source.path}: {META} says no number of Gaussians")
    return value


def _means(source: Source, count: int) -> F32:
    """16-bit numbers, low and high byte in a picture each, between mins and maxs of sign(x) ln(1 + |x|)."""
    low, high = source.numbers("means", "mins", 3, 3), source.numbers("means", "maxs", 3, 3)
    if max(np.abs(low).max(), np.abs(high).max()) > _MAX_LOG:
        raise UnreadableError(f"{source.path}: means.mins and maxs go beyond ±exp({_MAX_LOG:g})")
    bytes_low, bytes_high = source.rows("means", 0, count), source.rows("means", 1, count)
    steps = bytes_low[:, :3] | bytes_high[:, :3].astype(np.uint16) << 8
    logs = low + (high - low) * (steps / 65535)
    return (np.sign(logs) * np.expm1(np.abs(logs))).astype(np.float32)


def _quats(source: Source, count: int, log: EventLog) -> F32:
    """Three bytes for ±1/sqrt(2), and 252 + index of the missing component of w, x, y, z."""
    rows = source.rows("quats", 0, count)
    valid = rows[:, 3] >= 252
    three = (rows[:, :3] / np.float32(127.5) - 1) * np.float32(math.sqrt(0.5))
    quats = restore_largest(np.where(valid, rows[:, 3] - 252, 0), three)
    if not valid.all():
        log.warn(f"{source.path.name}: {int((~valid).sum()):,} unreadable rotations are set to the identity")
        quats[~valid] = _IDENTITY
    return quats


def _look_up(source: Source, part: str, indices: U8) -> F32:
    """Codebook entries for (…) bytes."""
    book = source.numbers(part, "codebook", 1, 256).astype(np.float32)
    if indices.size and int(indices.max()) >= len(book):
        raise UnreadableError(f"{source.path}: {part} refers to entry {int(indices.max())} of {len(book)}")
    return book[indices]


def _spread(source: Source, part: str, values: U8) -> F32:
    """Version 1: bytes between the minimum and maximum of each channel."""
    channels = values.shape[1]
    low, high = source.numbers(part, "mins", channels, channels), source.numbers(part, "maxs", channels, channels)
    return (low + (high - low) * (values / 255)).astype(np.float32)


def _rest(source: Source, version: int, count: int, log: EventLog) -> F32:
    """(N, K - 1, 3) SH coefficients: a label per Gaussian into a palette of coefficient sets."""
    labels = source.rows("shN", 1, count)
    label = labels[:, 0] | labels[:, 1].astype(np.uint16) << 8
    picture = source.picture("shN", 0, PALETTE_COLUMNS)
    coefficients, remainder = divmod(picture.shape[1], PALETTE_COLUMNS)
    if remainder or coefficients not in (3, 8, 15):
        raise UnreadableError(f"{source.path}: an SH palette {picture.shape[1]} pixels wide, expected 192, 512 or 960")
    bands = source.part("shN").get("bands", {3: 1, 8: 2, 15: 3}[coefficients])
    if (bands, coefficients) not in ((1, 3), (2, 8), (3, 15)):
        raise UnreadableError(
            f"{source.path}: {bands!r:.40} SH bands do not fit a palette of {coefficients} coefficients"
        )
    entries = picture[..., :3].reshape(-1, coefficients, 3)
    if version == 2:
        palette = _look_up(source, "shN", entries)
    else:
        low, high = (float(source.numbers("shN", key, 1, 1)[0]) for key in ("mins", "maxs"))
        palette = (low + (high - low) * (entries / 255)).astype(np.float32)
    beyond = label >= len(palette)
    if beyond.any():
        log.warn(f"{source.path.name}: {int(beyond.sum()):,} labels beyond the SH palette: no view dependence there")
        palette = np.concatenate([palette, np.zeros((1, coefficients, 3), np.float32)])
        label = np.where(beyond, len(palette) - 1, label)
    return palette[label]


def _note_opaque(source: Source, alpha: U8, log: EventLog) -> None:
    opaque = int(np.isin(alpha, (0, 255)).sum())
    if opaque:
        log.warn(f"{source.path.name}: {opaque:,} opacities of exactly 0 or 1 are read as 0.001 and 0.999")
