"""Forged streams behind valid checksums: bits flipped, some cut off. In a test: ``from damage import refusals``."""

from __future__ import annotations

import numpy as np

from gscompress.codecs.base import Codec
from gscompress.container.chunk import Chunk
from gscompress.errors import UnreadableError


def refusals(codec: Codec, chunk: Chunk, seed: int) -> int:
    """How many of 20 damaged copies per stream the codec refuses to decode; the others decode to something."""
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
                codec.decode_whole([forged])
            except (UnreadableError, ArithmeticError, LookupError, ValueError):
                refused += 1
    return refused
