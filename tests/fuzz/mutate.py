"""Damaged copies of a file: what hostile input tests feed to every reader.

In a test of the same folder: ``from mutate import mutations``. Delete the file before writing the next one: ext4
flushes to disk when a file is overwritten in place, which is six times slower.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import numpy as np

# What a lying count, size or offset looks like.
EXTREMES = (0, 1, 2, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**64 - 1, 10**18)
_DECIMALS = (b"0", b"1", b"-1", b"99999", b"4294967296", b"1000000000000000000", b"9" * 40, b"nan", b"1e18", b"inf")


def mutations(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """``count`` damaged copies of ``data``, the same ones for the same seed; some may equal the original.

    Kinds in turn: truncation, bit flips, byte runs set to 0x00 or 0xFF, an integer field of 1 to 8 bytes
    overwritten with an extreme value, a run of decimal digits replaced, a splice (a stretch removed, doubled or
    copied elsewhere), and a float32 replaced by a NaN, an infinity or a huge value. Half of all strikes fall into the
    first 512 bytes, where headers are.
    """
    rng = np.random.default_rng(seed)
    kinds: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
        _truncate,
        _flip_bits,
        _set_run,
        _set_integer,
        _set_decimal,
        _splice,
        _set_float,
    )
    for index in range(count):
        copy = bytearray(data)
        kinds[index % len(kinds)](copy, rng)
        yield bytes(copy)


def truncations(data: bytes, step: int = 1) -> Iterator[bytes]:
    """The file cut off after every ``step`` bytes, the empty file included."""
    return (data[:length] for length in range(0, len(data), step))


def _place(size: int, rng: np.random.Generator) -> int:
    reach = min(size, 512) if rng.random() < 0.5 else size
    return int(rng.integers(max(1, reach)))


def _truncate(copy: bytearray, rng: np.random.Generator) -> None:
    del copy[_place(len(copy), rng) :]


def _flip_bits(copy: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 9)) if copy else 0):
        copy[_place(len(copy), rng)] ^= 1 << int(rng.integers(8))


def _set_run(copy: bytearray, rng: np.random.Generator) -> None:
    start = _place(len(copy), rng)
    length = min(int(rng.integers(1, 33)), len(copy) - start)
    copy[start : start + length] = bytes([int(rng.choice([0, 255, int(rng.integers(256))]))]) * length


def _set_integer(copy: bytearray, rng: np.random.Generator) -> None:
    width = int(rng.choice([1, 2, 4, 8]))
    value = EXTREMES[int(rng.integers(len(EXTREMES)))] % (1 << 8 * width)
    start = _place(len(copy), rng)
    if rng.random() < 0.5:
        start -= start % width
    copy[start : start + width] = value.to_bytes(width, "little" if rng.random() < 0.8 else "big")


def _set_decimal(copy: bytearray, rng: np.random.Generator) -> None:
    """Replace a number in text; in a file without digits nothing changes."""
    start = _place(len(copy), rng)
    while start < len(copy) and not 48 <= copy[start] <= 57:
        start += 1
    end = start
    while end < len(copy) and 48 <= copy[end] <= 57:
        end += 1
    if end > start:
        copy[start:end] = _DECIMALS[int(rng.integers(len(_DECIMALS)))]


def _splice(copy: bytearray, rng: np.random.Generator) -> None:
    start, target = _place(len(copy), rng), _place(len(copy), rng)
    piece = copy[start : start + int(rng.integers(1, 65))]
    choice = int(rng.integers(3))
    if choice == 0:
        del copy[start : start + len(piece)]
    elif choice == 1:
        copy[target:target] = piece
    else:
        copy[target : target + len(piece)] = piece


def _set_float(copy: bytearray, rng: np.random.Generator) -> None:
    value = float(rng.choice([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45]))
    start = _place(len(copy), rng) & ~3
    copy[start : start + 4] = struct.pack("<f", value)
