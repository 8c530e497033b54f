"""Sparse sequences come back, and cost less time and no more bytes than plain planes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gscompress.entropy import run_length
from gscompress.entropy.plane import PlaneEncoder, Shape, Side
from gscompress.entropy.run_length import decode_sparse, encode_sparse
from gscompress.errors import UnreadableError

LIMIT = (1 << 24) - 1
sequences = hnp.arrays(
    np.int32, st.integers(0, 300), elements=st.just(0) | st.just(0) | st.integers(-3, 3) | st.integers(-LIMIT, LIMIT)
)


@settings(max_examples=100, deadline=None)
@given(sequences)
def test_sequences_come_back(symbols: np.ndarray) -> None:
    found = decode_sparse(encode_sparse(symbols), len(symbols))
    assert found.dtype == np.int32
    assert (found == symbols).all()


@pytest.mark.parametrize("longest", [1, 3, 10])
def test_long_runs_are_broken_and_come_back(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_length, "_LONGEST", longest)
    symbols = np.zeros(200, np.int32)
    symbols[[0, 5, 6, 100, 111, 121, 131, 142]] = [1, 2, 3, 4, 5, 6, 7, 8]
    assert (decode_sparse(encode_sparse(symbols), 200) == symbols).all()


def test_no_larger_than_a_plane_where_one_in_a_hundred_is_something() -> None:
    rng = np.random.default_rng(0)
    symbols = np.where(rng.random(200_000) < 0.01, rng.integers(-9, 10, 200_000), 0).astype(np.int32)
    plane = PlaneEncoder(Shape(1, 1, 1, True))
    plane.add(symbols[:, None], Side())
    assert len(encode_sparse(symbols)) < 1.01 * len(plane.finish())


def harmless(data: bytes, count: int) -> bool:
    try:
        found = decode_sparse(data, count)
    except UnreadableError:
        return False
    assert len(found) == count
    return True


def test_damaged_streams_are_harmless() -> None:
    symbols = np.zeros(500, np.int32)
    symbols[::25] = np.arange(20)
    data = encode_sparse(symbols)
    assert not any(harmless(data[:length], 500) for length in range(len(data)))
    assert not any(harmless(data, count) for count in (0, 10, 475))
    for place in range(len(data) * 8):
        copy = bytearray(data)
        copy[place >> 3] ^= 1 << (place & 7)
        harmless(bytes(copy), 500)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 500), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_noise_is_harmless(noise: bytes, count: int, number: int, split: int) -> None:
    harmless(noise, count)
    harmless(struct.pack("<QI", number % (count + 2), split % 90) + noise[: len(noise) & ~3], count)
    harmless(struct.pack("<QI", number, split) + noise, count)
