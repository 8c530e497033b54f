"""``.compressed.ply`` of PlayCanvas: 16 bytes per Gaussian in chunks of 256 with own ranges, and a byte per SH value.

Layout as in the engine and in splat-transform (MIT): element ``chunk`` holds float32 minima and maxima of position,
log scale and colour; ``vertex`` packs position and scale into 11-10-11 bits, the quaternion into 2-10-10-10 and RGBA
into 8-8-8-8; ``sh`` holds f_rest, channel-major, in bytes over -4 to 4. The numbers are those of the .ply.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.limits import require_finite
from gscompress.formats.morton import morton_order
from gscompress.formats.packed_values import LOGITS, drop_largest, opacity_bytes, restore_largest
from gscompress.formats.ply import rest_per_channel
from gscompress.formats.ply_comments import build_comments, comment_losses, parse_comments
from gscompress.formats.ply_header import Element, Header, blocks, check, header_bytes, is_ply, read_header
from gscompress.frame import RDF
from gscompress.scene import Scene, Splats
from gscompress.sh import C0

F64 = npt.NDArray[np.float64]
_CHUNK = 256
_BLOCK = 64 * _CHUNK  # rows in flight while writing
_SCALE_LIMIT = 20.0  # log scales beyond it are clamped, as every writer does: some are infinite
_SH_LIMIT = 4.0
_TOPS = np.array([2047.0, 1023.0, 2047.0])  # largest values of 11, 10 and 11 bits
_PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
# Three components of a unit quaternion off by half a step of sqrt(2)/1023, and the fourth that follows from them.
_QUAT_DEGREES = math.degrees(2 * math.sqrt(12) * 0.5 * math.sqrt(2) / 1023)
_SH_BOUND = 0.75 / 32  # between the outermost value and its neighbour; 1/64 further inside


class CompressedPlyFormat(Format):
    """Lossy; ``bounds`` says by how much for a given scene."""

    name = "compressed_ply"
    suffixes = (".compressed.ply",)

    def sniff(self, path: Path, head: bytes) -> bool:
        header = head[: head.find(b"end_header")]
        return is_ply(head) and b"\nelement chunk " in header and b" packed_position" in header

    @np.errstate(all="ignore")  # damaged ranges hold anything
    def read(self, path: Path, log: EventLog) -> Scene:
        header = read_header(path)
        chunk, vertex = _elements(header)
        facts = parse_comments(header.comments)
        splats = _read_vertices(header, vertex, _read_ranges(header, chunk), log)
        sh = header.element("sh")
        if sh is not None:
            splats = replace(splats, sh=_read_sh(header, sh, splats))
        return Scene(splats, facts.frame or RDF, facts.model or "3dgs", facts.meta)

    def bounds(self, scene: Scene) -> dict[str, float]:
        """The largest error of each attribute of this scene, for values inside the format's range.

        means: scene units per axis · log_scales: natural log · quats: degrees of rotation · opacities: 0..1 ·
        dc, sh: SH coefficients of degree 0 and above.
        """
        widest = np.zeros(9)
        flat = replace(scene.splats, sh=scene.splats.sh[:, :1])  # the rest has one fixed bound
        for _, part in _in_order(replace(scene, splats=flat)):
            low, high = _chunk_ranges(_channels(part))
            widest = np.maximum(widest, (high - low).max(axis=0))
        return {
            "means": float((widest[:3] / _TOPS).max() / 2),
            "log_scales": float((widest[3:6] / _TOPS).max() / 2),
            "quats": _QUAT_DEGREES,
            "opacities": 0.5 / 255,
            "dc": float(widest[6:].max() / 255 / 2 / C0),
            "sh": _SH_BOUND,
        }

    def losses(self, scene: Scene) -> list[str]:
        scene = replace(scene, splats=_finite(scene.splats))
        bound, splats = self.bounds(scene), scene.splats
        sh = f", SH ±{bound['sh']:.3g}" if splats.sh_degree else ""
        out = [
            f"rounded: positions ±{bound['means']:.2g} units, log scales ±{bound['log_scales']:.2g}, "
            f"rotations ±{bound['quats']:.2f}°, opacities ±0.002, DC ±{bound['dc']:.2g}{sh}",
            "the Gaussians change their order",
        ]
        outside = {
            f"log scales beyond ±{_SCALE_LIMIT:.0f}": _beyond(splats.log_scales, _SCALE_LIMIT),
            f"SH coefficients beyond ±{_SH_LIMIT:.0f}": _beyond(splats.sh[:, 1:], _SH_LIMIT),
        }
        out += [f"{number:,} {text} are clamped" for text, number in outside.items() if number]
        if splats.extras:
            out.append(f"extra columns are dropped: {', '.join(splats.extras)}")
        return out + comment_losses(scene)

    def write(self, scene: Scene, path: Path, log: EventLog) -> None:
        require_finite(scene, ".compressed.ply")
        comments = build_comments(scene, "3dgs")
        count, rest = len(scene), 3 * (scene.splats.sh.shape[1] - 1)
        ranges = np.empty((-(-count // _CHUNK), 18), "<f4")
        packed = np.empty((count, 4), "<u4")
        sh = np.empty((count, rest), np.uint8)
        for rows, part in _in_order(scene):
            chunks = slice(rows.start // _CHUNK, -(-rows.stop // _CHUNK))
            ranges[chunks], packed[rows] = _pack(part)
            sh[rows] = sh_bytes(part.sh[:, 1:].transpose(0, 2, 1).reshape(len(part), rest))
        tables = [
            ("chunk", len(ranges), np.dtype([(name, "<f4") for name in _range_names()])),
            ("vertex", count, np.dtype([(name, "<u4") for name in _PACKED])),
        ]
        if rest:
            tables.append(("sh", count, np.dtype([(f"f_rest_{i}", "u1") for i in range(rest)])))
        with path.open("wb") as stream:
            stream.write(header_bytes(tables, comments))
            for table in (ranges, packed, sh):
                table.tofile(stream)


def _in_order(scene: Scene) -> Iterator[tuple[slice, Splats]]:
    """The Gaussians in RDF axes and Morton order, some chunks at a time."""
    splats = replace(scene.in_frame(RDF).splats, extras={})
    order = morton_order(splats.means)
    for start in range(0, len(order), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(order)))
        yield rows, splats.take(order[rows])


def _pack(splats: Splats) -> tuple[F64, npt.NDArray[np.uint32]]:
    """Rows in order, from the start of a chunk, to (chunks, 18) ranges and (N, 4) packed words."""
    channels = _channels(splats)
    low, high = _chunk_ranges(channels)
    ranges = np.concatenate([low[:, :3], high[:, :3], low[:, 3:6], high[:, 3:6], low[:, 6:], high[:, 6:]], axis=1)
    unit = _unit(channels, low, high)
    alpha = opacity_bytes(splats.logit_opacities)
    words = (
        _join(unit[:, :3] * _TOPS, (21, 11, 0)),
        _pack_quats(splats.quats),
        _join(unit[:, 3:6] * _TOPS, (21, 11, 0)),
        _join(unit[:, 6:] * 255, (24, 16, 8)) | alpha,
    )
    return ranges, np.stack(words, axis=1)


def sh_bytes(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """SH coefficients to the bytes whose decoded values (see ``SH_VALUES``) are nearest."""
    steps = np.clip((values / np.float32(8) + np.float32(0.5)) * 256, 0, 256)
    inner = np.clip(np.floor(steps), 1, 254)
    return np.where(steps < 0.75, 0, np.where(steps >= 255.25, 255, inner)).astype(np.uint8)


# Byte b stands for the middle of its bin over -4 to 4, but 0 and 255 for the ends.
SH_VALUES = (np.concatenate([[0], np.arange(1, 255) + 0.5, [256]]) / 32 - _SH_LIMIT).astype(np.float32)


def _range_names() -> list[str]:
    names = []
    for prefix, axes in (("", "xyz"), ("scale_", "xyz"), ("", "rgb")):
        names += [f"{side}_{prefix}{axis}" for side in ("min", "max") for axis in axes]
    return names


def _elements(header: Header) -> tuple[Element, Element]:
    """The chunk and vertex elements, checked against the file and one another. Raises UnreadableError."""
    chunk, vertex = header.element("chunk"), header.element("vertex")
    if chunk is None or vertex is None:
        raise UnreadableError(f"{header.path}: a compressed.ply needs the elements chunk and vertex")
    for element, needed in ((chunk, _range_names()[:12]), (vertex, list(_PACKED))):
        missing = [name for name in needed if name not in element.names]
        if missing:
            raise UnreadableError(f"{header.path}: element {element.name} has no {missing[0]}")
        check(header, element)
    if any(vertex.properties[vertex.names.index(name)].code not in ("u4", "i4") for name in _PACKED):
        raise UnreadableError(f"{header.path}: the packed properties are not of type uint")
    if chunk.count * _CHUNK < vertex.count:
        raise UnreadableError(f"{header.path}: {chunk.count} chunks are too few for {vertex.count} Gaussians")
    sh = header.element("sh")
    if sh is not None:
        check(header, sh)
        if sh.count != vertex.count or any(p.code != "u1" for p in sh.properties):
            raise UnreadableError(f"{header.path}: element sh must have {vertex.count} rows of type uchar")
    return chunk, vertex


def _read_ranges(header: Header, chunk: Element) -> tuple[F64, F64]:
    """(chunks, 9) minima and maxima; old files have no colour range, which means 0 to 1."""
    table = np.empty((2, chunk.count, 9))
    table[0, :, 6:], table[1, :, 6:] = 0, 1
    names = _range_names()
    for rows, block in blocks(header, chunk):
        for group in range(3):
            for side in range(2):
                for axis in range(3):
                    name = names[group * 6 + side * 3 + axis]
                    if name in chunk.names:
                        table[side, rows, group * 3 + axis] = block[name]
    return table[0], table[1]


def _read_vertices(header: Header, vertex: Element, ranges: tuple[F64, F64], log: EventLog) -> Splats:
    count = vertex.count
    means, log_scales = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32)
    quats, logits = np.empty((count, 4), np.float32), np.empty(count, np.float32)
    sh = np.empty((count, 1, 3), np.float32)
    extreme = 0
    for rows, block in blocks(header, vertex):
        position, rotation, scale, color = (block[name].astype(np.uint32) for name in _PACKED)
        chunks = np.arange(rows.start, rows.stop) // _CHUNK
        low, high = ranges[0][chunks], ranges[1][chunks]
        means[rows] = _mix(low[:, :3], high[:, :3], _split(position, (21, 11, 0), _TOPS))
        log_scales[rows] = _mix(low[:, 3:6], high[:, 3:6], _split(scale, (21, 11, 0), _TOPS))
        rgb = _mix(low[:, 6:], high[:, 6:], _split(color, (24, 16, 8), np.full(3, 255.0)))
        sh[rows, 0] = (rgb - 0.5) / C0
        three = (_split(rotation, (20, 10, 0), np.full(3, 1023.0)) - 0.5) * math.sqrt(2)
        quats[rows] = restore_largest(rotation >> 30, three)
        alpha = color & 255
        logits[rows] = LOGITS[alpha]
        extreme += int(((alpha == 0) | (alpha == 255)).sum())
    if extreme:
        log.warn(f"{header.path.name}: {extreme:,} opacities of exactly 0 or 1 are read as 0.001 and 0.999")
    return Splats(means, log_scales, quats, logits, sh)


def _read_sh(header: Header, element: Element, splats: Splats) -> npt.NDArray[np.float32]:
    per_channel = rest_per_channel(header, element)
    bands = min(per_channel, 15) + 1
    sh = np.empty((len(splats), bands, 3), np.float32)
    sh[:, 0] = splats.sh[:, 0]
    for rows, block in blocks(header, element):
        for channel in range(3):
            for band in range(1, bands):
                sh[rows, band, channel] = SH_VALUES[block[f"f_rest_{channel * per_channel + band - 1}"]]
    return sh


def _finite(splats: Splats) -> Splats:
    """The rows that the writer would accept, so that bounds can be stated for any scene."""
    mask = np.isfinite(splats.means).all(axis=1) & np.isfinite(splats.sh[:, 0]).all(axis=1)
    return splats if mask.all() else splats.take(np.flatnonzero(mask))


def _beyond(values: npt.NDArray[np.float32], limit: float) -> int:
    return int(np.count_nonzero(values > limit) + np.count_nonzero(values < -limit))


def _channels(splats: Splats) -> F64:
    """(N, 9): position, clamped log scale, colour in 0..1; every value is a float32."""
    color = (splats.sh[:, 0] * np.float64(C0) + 0.5).astype(np.float32)
    scales = np.clip(splats.log_scales, -_SCALE_LIMIT, _SCALE_LIMIT)
    return np.concatenate([splats.means, scales, color], axis=1).astype(np.float64)


def _chunk_ranges(channels: F64) -> tuple[F64, F64]:
    """(chunks, 9) minima and maxima of every 256 rows."""
    starts = np.arange(0, len(channels), _CHUNK)
    return np.minimum.reduceat(channels, starts, axis=0), np.maximum.reduceat(channels, starts, axis=0)


def _unit(values: F64, low: F64, high: F64) -> F64:
    """Values to 0..1 within the range of their chunk; 0 where the range is empty."""
    chunks = np.arange(len(values)) // _CHUNK
    width = (high - low)[chunks]
    return (values - low[chunks]) / np.where(width > 0, width, 1)


def _mix(low: F64, high: F64, unit: F64) -> F64:
    return low * (1 - unit) + high * unit


def _join(values: F64, shifts: tuple[int, int, int]) -> npt.NDArray[np.uint32]:
    """Round three columns and put them at their bit positions."""
    numbers = np.rint(values).astype(np.uint32) << np.array(shifts, np.uint32)
    return numbers[:, 0] | numbers[:, 1] | numbers[:, 2]


def _split(words: npt.NDArray[np.uint32], shifts: tuple[int, int, int], tops: F64) -> F64:
    """The inverse of ``_join``, as fractions of the largest values."""
    return np.stack([((words >> s) & int(t)) / t for s, t in zip(shifts, tops)], axis=1)


def _pack_quats(quats: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    largest, three = drop_largest(quats)
    return largest.astype(np.uint32) << np.uint32(30) | _join((three * math.sqrt(0.5) + 0.5) * 1023, (20, 10, 0))
