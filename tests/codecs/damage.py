"""Damaged files, and forged streams behind valid checksums. In a test: ``from damage import refusals``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gscompress.container.chunk import Chunk
from gscompress.errors import GscompressError, UnreadableError


def refusals(decode: Callable[[list[Chunk]], Any], chunk: Chunk, seed: int) -> int:
    """How many of 20 damaged copies per stream ``decode`` refuses; the others decode to something."""
    rng = np.random.default_rng(seed)
    refused = 0
    for name, data in chunk.streams.items():
        for _ in range(20):
            damaged = bytearray(data)
            damaged[int(rng.integers(len(damaged)))] ^= 1 << int(rng.integers(8))
            if rng.random() < 0.3:
                del damaged[int(rng.integers(len(damaged))) :]
            forged = Chunk("BASE", 0, {**chunk.streams, name: bytes(damaged)})
            try:
                decode([forged])
            except (UnreadableError, ArithmeticError, LookupError, ValueError):
                refused += 1
    return refused


def flips_refused(read: Callable[[bytes], Any], data: bytes, copies: int) -> float:
    """The share of ``copies`` of a file, one bit of each flipped, that ``read`` refuses with an error of ours.

    Any other error is raised.
    """
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(copies):
        bad = bytearray(data)
        bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        try:
            read(bytes(bad))
        except GscompressError:
            refused += 1
    return refused / copies
