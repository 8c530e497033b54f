"""``.ksplat`` of GaussianSplats3D (read only: the format is frozen): sections of bucketed Gaussians, levels 0, 1 and 2.

A header of 4096 bytes, a header of 1024 bytes per section, then per section: the sizes of the buckets that are not
full, the bucket centres, and the rows. Level 0 is float32; level 1 stores positions as 16-bit steps from the bucket
centre and the rest as half floats; level 2 has SH in bytes besides. RGBA are bytes. The numbers are those of the .ply.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.packed_values import LOGITS
from gscompress.formats.splat import log_of_scales
from gscompress.frame import RDF
from gscompress.scene import F32, Scene, Splats
from gscompress.sh import C0

_HEADER, _SECTION = 4096, 1024
_FLOATS = ("<f4", "<f2", "<f2")  # of scale and rotation, by level
_CENTERS = ("<f4", "<u2", "<u2")
_SH_CODES = ("<f4", "<f2", "u1")
_DEFAULT_RANGE = (1, 32767, 32767)
_SH_COUNTS = (0, 9, 24, 45)
_DEFAULT_SH_RANGE = 1.5


@dataclass(frozen=True, slots=True)
class _Section:
    """One section: what its header claims, and where in the file its parts begin."""

    count: int
    bucket_size: int
    bucket_count: int
    block_size: float
    quantization: int
    full: int
    partial: int
    row: np.dtype[Any]
    degree: int
    sizes_at: int
    centers_at: int
    rows_at: int
    end: int


class KsplatFormat(Format):
    """Reads every level and SH degree."""

    name = "ksplat"
    suffixes = (".ksplat",)
    writable = False

    def sniff(self, path: Path, head: bytes) -> bool:
        return path.name.lower().endswith(".ksplat") and path.is_file()

    def read(self, path: Path, log: EventLog) -> Scene:
        data = path.read_bytes()
        if len(data) < _HEADER or data[0] != 0 or data[1] < 1:
            raise UnreadableError(f"{path}: no .ksplat of version 0.1 or later (or cut off)")
        max_sections, _, _, count, level = struct.unpack_from("<4I H", data, 4)
        if level > 2:
            raise UnreadableError(f"{path}: unknown compression level {level}")
        low, high = (float(x) for x in struct.unpack_from("<2f", data, 36))
        sh_range = (low or -_DEFAULT_SH_RANGE, high or _DEFAULT_SH_RANGE)
        sections = list(_sections(path, data, max_sections, level))
        held = sum(section.count for section in sections)
        if held != count:
            raise UnreadableError(f"{path}: the header promises {count} Gaussians, the sections hold {held}")
        degree = max((section.degree for section in sections if section.count), default=0)
        sh = np.zeros((count, (degree + 1) ** 2, 3), np.float32)
        scene = Splats(
            np.empty((count, 3), np.float32),
            np.empty((count, 3), np.float32),
            np.empty((count, 4), np.float32),
            np.empty(count, np.float32),
            sh,
        )
        start, extreme = 0, 0
        with np.errstate(all="ignore"):
            for section in filter(lambda section: section.count, sections):
                rows = slice(start, start + section.count)
                start += section.count
                table = np.frombuffer(data, section.row, section.count, section.rows_at)
                scene.means[rows] = _means(path, data, section, table["means"], level)
                scene.log_scales[rows] = log_of_scales(table["scales"], path, log)
                scene.quats[rows] = table["quats"]
                sh[rows, 0] = (table["rgba"][:, :3] / np.float32(255) - 0.5) / C0
                sh[rows, 1 : (section.degree + 1) ** 2] = _sh(table["sh"], section.degree, level, sh_range)
                alpha = table["rgba"][:, 3]
                scene.logit_opacities[rows] = LOGITS[alpha]
                extreme += int(((alpha == 0) | (alpha == 255)).sum())
        if extreme:
            log.warn(f"{path.name}: {extreme:,} opacities of exactly 0 or 1 are read as 0.001 and 0.999")
        return Scene(scene, RDF)


def _sections(path: Path, data: bytes, number: int, level: int) -> Iterator[_Section]:
    """The section headers in order, each checked against the bytes present. Raises UnreadableError."""
    if _HEADER + number * _SECTION > len(data):
        raise UnreadableError(
            f"{path}: the header promises {number} sections, the file is too short for them: cut off?"
        )
    position = _HEADER + number * _SECTION
    for index in range(number):
        begin = _HEADER + index * _SECTION
        count, most, bucket_size, bucket_count = struct.unpack_from("<4I", data, begin)
        block_size, storage = struct.unpack_from("<f H", data, begin + 16)
        quantization, _, full, partial, degree = struct.unpack_from("<4I H", data, begin + 24)
        if degree > 3:
            raise UnreadableError(f"{path}: section {index} has SH of degree {degree}")
        row = np.dtype(
            [
                ("means", _CENTERS[level], 3),
                ("scales", _FLOATS[level], 3),
                ("quats", _FLOATS[level], 4),
                ("rgba", "u1", 4),
                ("sh", _SH_CODES[level], _SH_COUNTS[degree]),
            ]
        )
        centers_at = position + partial * 4
        rows_at = centers_at + storage * bucket_count
        end = rows_at + row.itemsize * most
        if count > most or rows_at + row.itemsize * count > len(data) or centers_at > len(data):
            raise UnreadableError(f"{path}: section {index} ends beyond the file: cut off?")
        if level and (bucket_count * 12 > len(data) - centers_at or full + partial > bucket_count):
            raise UnreadableError(f"{path}: section {index} has buckets that do not fit together")
        yield _Section(
            count,
            bucket_size,
            bucket_count,
            block_size,
            quantization or _DEFAULT_RANGE[level],
            full,
            partial,
            row,
            degree,
            position,
            centers_at,
            rows_at,
            end,
        )
        position = end


def _means(path: Path, data: bytes, section: _Section, stored: npt.NDArray[Any], level: int) -> F32:
    if level == 0:
        return stored
    in_full = min(section.count, section.full * section.bucket_size)
    buckets = np.empty(section.count, np.int64)
    buckets[:in_full] = np.arange(in_full) // max(1, section.bucket_size)
    sizes = np.frombuffer(data, "<u4", section.partial, section.sizes_at)
    ends = np.cumsum(sizes.astype(np.int64))
    if section.count - in_full > (ends[-1] if len(ends) else 0):
        raise UnreadableError(f"{path}: a section has Gaussians that belong to no bucket")
    buckets[in_full:] = section.full + np.searchsorted(ends, np.arange(section.count - in_full), side="right")
    centers = np.frombuffer(data, "<f4", section.bucket_count * 3, section.centers_at).reshape(-1, 3)
    step = section.block_size / 2 / section.quantization
    return (stored.astype(np.float64) - section.quantization) * step + centers[buckets]


def _sh(stored: npt.NDArray[Any], degree: int, level: int, sh_range: tuple[float, float]) -> F32:
    """(N, C) values, band after band and channel-major inside a band, to (N, K - 1, 3)."""
    values = stored.astype(np.float32)
    if level == 2:
        values = sh_range[0] + values / np.float32(255) * (sh_range[1] - sh_range[0])
    bands, start = [np.empty((len(values), 0, 3), np.float32)], 0
    for band in range(1, degree + 1):
        width = 2 * band + 1
        bands.append(values[:, start : start + 3 * width].reshape(-1, 3, width).transpose(0, 2, 1))
        start += 3 * width
    return np.concatenate(bands, axis=1)
