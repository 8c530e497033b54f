"""Forged streams behind valid checksums: bits flipped, some cut off. In a test: ``from damage import refusals``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gscompress.container.chunk import Chunk
from gscompress.errors import UnreadableError


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
