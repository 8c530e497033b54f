"""The tables that decide every bit are integers, symmetric and frozen; streams that cannot be are refused."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

from gscompress.entropy import binarisation, plane
from gscompress.entropy.binary import (
    AGES,
    ONE,
    POSITION,
    SQUASH,
    STRETCH,
    begin_decoding,
    begin_encoding,
    finish_decoding,
    finish_encoding,
    ideal_bits,
)
from gscompress.errors import UnreadableError


def test_squash_is_the_logistic_function_and_symmetric() -> None:
    x = (np.arange(4096) - 2048) / 256
    assert np.allclose(SQUASH / ONE, 1 / (1 + np.exp(-x)), atol=1.3e-3)
    assert (np.diff(SQUASH.astype(int)) >= 0).all()
    assert (SQUASH[1:].astype(int) + SQUASH[:0:-1] == ONE).all()
    assert 0 < SQUASH.min() <= SQUASH.max() < ONE


def test_stretch_undoes_squash() -> None:
    assert (np.diff(STRETCH.astype(int)) >= 0).all()
    middle = np.arange(64, 4032)
    assert abs(SQUASH[STRETCH[middle].astype(int) + 2048].astype(int) - middle * 16).max() <= 80
    assert abs(STRETCH[1:].astype(int) + STRETCH[:0:-1])[63:-63].max() <= 8  # 1/32; steeper towards the ends


def test_a_counter_averages_first_and_forgets_later() -> None:
    assert [int(a) for a in AGES[:3]] == [65536 * 2 // 3, 65536 * 2 // 5, 65536 * 2 // 7]
    assert (np.diff(AGES.astype(int)) < 0).sum() > 250


@pytest.mark.parametrize(
    ("table", "crc"),
    [
        (STRETCH, 736057726),
        (SQUASH, 4258308964),
        (AGES, 1999340300),
        (binarisation.NEXT, 1886544801),
        (binarisation.BASE, 3134226260),
        (binarisation.RAW, 1267849475),
        (plane._BUCKET, 1693834921),
    ],
    ids=["stretch", "squash", "ages", "next", "base", "raw", "bucket"],
)
def test_the_tables_of_the_bitstream_are_frozen(table: np.ndarray, crc: int) -> None:
    """Files depend on every entry: a change needs a new stream, not a new number here."""
    assert zlib.crc32(table.astype("<i4").tobytes()) == crc


def test_decisions_cost_what_their_probabilities_say() -> None:
    rng = np.random.default_rng(0)
    p = rng.integers(24, ONE - 24, 5000)
    bits = (rng.random(5000) * ONE < p).astype(np.int64)
    coder, log = begin_encoding(6000)
    log[:5000] = p << 1 | bits
    log[5000:5003] = [0x80000000 | 9 << 16 | 300, 0x80000000 | 16 << 16 | 65535, 0x80000000 | 1 << 16]
    coder[POSITION] = 5003
    ideal = sum(-math.log2((q if b else ONE - q) / ONE) for q, b in zip(p.tolist(), bits.tolist())) + 26
    assert ideal_bits(coder, log) == pytest.approx(ideal, rel=1e-9)
    assert 0 <= len(finish_encoding(coder, log)) * 8 - ideal <= 64


def test_nothing_costs_eight_bytes_and_ends_well() -> None:
    data = finish_encoding(*begin_encoding(1))
    assert len(data) == 8
    finish_decoding(begin_decoding(data)[0])


@pytest.mark.parametrize(
    "data", [b"", b"1234567", bytes(9), bytes(3) + b"\xff" * 9], ids=["none", "short", "odd", "high"]
)
def test_streams_that_cannot_be_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        begin_decoding(data)


@pytest.mark.parametrize("data", [bytes(8), bytes(12), b"\x00\x00\x00\x00\x01\x00\x00\x80"])
def test_streams_that_end_elsewhere_are_refused(data: bytes) -> None:
    coder, _ = begin_decoding(data)
    with pytest.raises(UnreadableError):
        finish_decoding(coder)
