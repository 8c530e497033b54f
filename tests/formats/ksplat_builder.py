"""A slow, plain writer of .ksplat files, from the layout that GaussianSplats3D documents in code; tests read them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from gscompress.scene import Splats
from gscompress.sh import C0

SH_RANGE = (-1.25, 1.75)
BLOCK, STEPS = 5.0, 32767


def build_ksplat(sections: Sequence[Splats], level: int, bucket_size: int = 8) -> bytes:
    """One section per entry; rows are put into buckets by cubes of 5 units, full buckets first.

    Returns the file; ``row_order`` gives the order in which the rows come out.
    """
    headers, bodies = [], []
    for splats in sections:
        header, body = _section(splats, level, bucket_size)
        headers.append(header)
        bodies.append(body)
    total = sum(len(s) for s in sections)
    main = bytearray(4096)
    main[1] = 1
    struct.pack_into("<4I H", main, 4, len(sections), len(sections), total, total, level)
    struct.pack_into("<2f", main, 36, *SH_RANGE)
    return bytes(main) + b"".join(headers) + b"".join(bodies)


def row_order(splats: Splats, bucket_size: int = 8) -> np.ndarray:
    full, partial = _buckets(splats, bucket_size)
    return np.array([row for bucket in (*full, *partial) for row in bucket[1]], int)


def _buckets(splats: Splats, size: int) -> tuple[list, list]:
    """Lists of (centre, rows): those with ``size`` rows, and the rest."""
    open_buckets: dict[tuple, list] = {}
    full = []
    for row, mean in enumerate(splats.means):
        cube = tuple(np.floor(mean.astype(float) / BLOCK))
        bucket = open_buckets.setdefault(cube, [(np.array(cube) + 0.5) * BLOCK, []])
        bucket[1].append(row)
        if len(bucket[1]) == size:
            full.append(open_buckets.pop(cube))
    return full, list(open_buckets.values())


def _section(splats: Splats, level: int, bucket_size: int) -> tuple[bytes, bytes]:
    full, partial = _buckets(splats, bucket_size)
    rows = b"".join(_row(splats, row, centre, level) for centre, members in (*full, *partial) for row in members)
    sizes = b"".join(struct.pack("<I", len(members)) for _, members in partial)
    centres = b"".join(struct.pack("<3f", *centre) for centre, _ in (*full, *partial))
    header = bytearray(1024)
    struct.pack_into("<4I f H", header, 0, len(splats), len(splats), bucket_size, len(full) + len(partial), BLOCK, 12)
    quantization = 1 if level == 0 else STEPS
    body = sizes + centres + rows
    struct.pack_into("<4I H", header, 24, quantization, len(body), len(full), len(partial), splats.sh_degree)
    return bytes(header), body


def _row(splats: Splats, row: int, centre: np.ndarray, level: int) -> bytes:
    float_code = "<f4" if level == 0 else "<f2"
    if level == 0:
        means = splats.means[row].astype("<f4").tobytes()
    else:
        steps = np.rint((splats.means[row] - centre) * STEPS / (BLOCK / 2)) + STEPS
        means = np.clip(steps, 0, 2 * STEPS + 1).astype("<u2").tobytes()
    scales = np.exp(splats.log_scales[row]).astype(float_code).tobytes()
    quats = splats.quats[row].astype(float_code).tobytes()
    opacity = 1 / (1 + np.exp(-float(splats.logit_opacities[row])))
    color = [*(splats.sh[row, 0] * C0 + 0.5), opacity]
    rgba = bytes(int(np.clip(round(float(c) * 255), 0, 255)) for c in color)
    values = []
    for band in range(1, splats.sh_degree + 1):
        for channel in range(3):
            values += list(splats.sh[row, band * band : (band + 1) ** 2, channel])
    if level == 2:
        low, high = SH_RANGE
        sh = bytes(int(np.clip(round((float(v) - low) / (high - low) * 255), 0, 255)) for v in values)
    else:
        sh = np.array(values, float_code).tobytes()
    return means + scales + quats + rgba + sh
