"""Planes of integers come back, cost what the model says, and corrupt streams stay harmless."""

from __future__ import annotations

from typing import Any

import numpy as np
import plane_twin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.entropy import binarisation
from gscompress.entropy.binary import POSITION, ideal_bits
from gscompress.entropy.plane import NEAR, PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError

LIMIT = (1 << 24) - 1
Plane = tuple[np.ndarray, Side]


def encoded(planes: list[Plane], shape: Shape) -> bytes:
    coder = PlaneEncoder(shape)
    for symbols, side in planes:
        coder.add(symbols, side)
    return coder.finish()


def decoded(data: bytes, planes: list[Plane], shape: Shape) -> list[np.ndarray]:
    coder = PlaneDecoder(data, shape)
    found = [coder.take(len(symbols), side) for symbols, side in planes]
    coder.finish()
    return found


@st.composite
def some_planes(draw: st.DrawFn, most_rows: int = 40) -> tuple[list[Plane], Shape]:
    """One to three planes of one shape, with side information that is in and out of range."""
    shape = Shape(draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.booleans()))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    planes = []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(0, most_rows))
        size = draw(st.sampled_from([0.3, 2.0, 50.0, 1e5, 1e9]))
        symbols = np.clip(rng.standard_cauchy((rows, shape.columns)) * size, -LIMIT, LIMIT).astype(np.int32)
        near = rng.integers(-2, rows + 2, (rows, NEAR)).astype(np.int32)
        lengths = rng.integers(-1, shape.columns + 2, rows).astype(np.int32)
        given_lengths = draw(st.booleans())
        if given_lengths:
            symbols[np.arange(shape.columns) >= lengths[:, None]] = 0
        side = Side(
            first=rng.integers(0, 6, rows).astype(np.uint16) if draw(st.booleans()) else None,
            second=rng.integers(0, 6, rows).astype(np.uint16) if draw(st.booleans()) else None,
            near=near if draw(st.booleans()) else None,
            steps=rng.choice([-5, 0, 1, 2, 100, 1 << 30], rows).astype(np.int32) if draw(st.booleans()) else None,
            lengths=lengths if given_lengths else None,
        )
        planes.append((symbols if shape.signed else abs(symbols), side))
    return planes, shape


@settings(max_examples=150, deadline=None)
@given(some_planes())
def test_planes_come_back(made: tuple[list[Plane], Shape]) -> None:
    planes, shape = made
    for (symbols, _), found in zip(planes, decoded(encoded(planes, shape), planes, shape)):
        assert (symbols == found).all()


@settings(max_examples=60, deadline=None)
@given(some_planes(most_rows=12))
def test_the_slow_twin_writes_the_same_bytes(made: tuple[list[Plane], Shape]) -> None:
    planes, shape = made
    data = encoded(planes, shape)
    assert plane_twin.encode(planes, shape) == data
    found = plane_twin.decode(data, [(len(symbols), side) for symbols, side in planes], shape)
    assert found == [symbols.tolist() for symbols, _ in planes]


def a_plane(rows: int = 600, seed: int = 0) -> tuple[list[Plane], Shape]:
    rng = np.random.default_rng(seed)
    wander = np.cumsum(rng.normal(size=(rows, 3)), axis=0)
    side = Side(first=(np.arange(rows) % 3).astype(np.uint16), steps=rng.integers(1, 9, rows).astype(np.int32))
    return [(np.round(wander).astype(np.int32), side)], Shape(3, 3, 1, True)


def test_the_slow_twin_agrees_on_a_plane_where_the_model_has_learnt() -> None:
    planes, shape = a_plane()
    assert plane_twin.encode(planes, shape) == encoded(planes, shape)


def test_the_same_symbols_give_the_same_bytes_however_they_lie_in_memory() -> None:
    planes, shape = a_plane()
    symbols, side = planes[0]
    turned = np.asfortranarray(symbols).astype(np.int64)
    wide = Side(first=np.asarray(side.first, np.int64), steps=np.asarray(side.steps, np.int64))
    assert encoded([(turned, wide)], shape) == encoded(planes, shape) == encoded(planes, shape)
    symbols.flags.writeable = False
    assert encoded([(symbols, side)], shape) == encoded([(turned, wide)], shape)


def test_the_answers_to_the_questions_lead_back_to_the_symbol() -> None:
    for magnitude in [*range(1, 70), *(m for e in range(6, 24) for m in (1 << e, (2 << e) - 1))]:
        bits, count = binarisation.answers.py_func(np.int64(-magnitude), True)
        node = binarisation.SIGN
        for place in range(int(count) - 2, -1, -1):
            assert node < binarisation.NODES
            node = int(binarisation.NEXT[2 * node + (int(bits) >> place & 1)])
        end = node - binarisation.NODES
        below = (1 << int(binarisation.RAW[end])) - 1
        assert int(binarisation.BASE[end]) + (magnitude & below) == magnitude


@pytest.mark.parametrize("wrong", [LIMIT + 1, -LIMIT - 1, 2**31 - 1, -(2**31)])
def test_symbols_out_of_range_are_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        PlaneEncoder(Shape(1, 1, 1, True)).add(np.array([[wrong]], np.int32), Side())


def test_negative_symbols_need_a_signed_plane() -> None:
    with pytest.raises(ValueError, match="out of range"):
        PlaneEncoder(Shape(1, 1, 1, False)).add(np.array([[-1]], np.int32), Side())


def test_symbols_beyond_a_row_s_length_are_refused() -> None:
    with pytest.raises(ValueError, match="beyond its length"):
        PlaneEncoder(Shape(2, 1, 1, True)).add(np.array([[0, 0], [5, 5]], np.int32), Side(lengths=np.array([2, 1])))


@pytest.mark.parametrize(
    "side",
    [Side(first=np.zeros(3)), Side(near=np.zeros((2, 2))), Side(steps=np.ones((2, 1))), Side(lengths=np.ones(1))],
)
def test_side_information_of_another_size_is_refused(side: Side) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        PlaneEncoder(Shape(1, 1, 1, False)).add(np.zeros((2, 1), np.int32), side)


def test_long_planes_outgrow_the_log_and_come_back() -> None:
    rng = np.random.default_rng(1)
    symbols = rng.integers(-LIMIT, LIMIT, (3000, 7)).astype(np.int32)
    planes, shape = [(symbols, Side())], Shape(7, 1, 1, True)
    data = encoded(planes, shape)
    assert (decoded(data, planes, shape)[0] == symbols).all()
    assert len(data) < symbols.size * 26 / 8  # uniform: hardly more than their 25 bits


def test_the_coder_spends_what_the_model_predicts() -> None:
    planes, shape = a_plane(20_000)
    coder = PlaneEncoder(shape)
    coder.add(*planes[0])
    ideal = ideal_bits(coder._coder, coder._log[: coder._coder[POSITION]])
    assert 0 <= len(coder.finish()) * 8 - ideal < 0.0005 * ideal + 64


def test_neighbours_and_classes_pay() -> None:
    rng = np.random.default_rng(2)
    rows = np.arange(5000)
    quiet = rng.random(5000) < 0.5
    levels = rng.integers(-2, 3, 50)[rows // 100]
    symbols = np.where(quiet, levels, rng.integers(-20, 20, 5000)).astype(np.int32)[:, None]
    last_quiet = np.concatenate([[-1], np.maximum.accumulate(np.where(quiet, rows, -1))[:-1]]).astype(np.int32)
    near = np.repeat(last_quiet[:, None], NEAR, axis=1)
    shape = Shape(1, 2, 1, True)

    def size(side: Side) -> int:
        return len(encoded([(symbols, side)], shape))

    nothing = size(Side(near=np.full_like(near, -1)))
    class_only, neighbours_only = size(Side(first=quiet.astype(np.uint16), near=near * 0 - 1)), size(Side(near=near))
    both = size(Side(first=quiet.astype(np.uint16), near=near))
    assert both < 0.92 * neighbours_only
    assert both < 0.92 * class_only
    assert both < 0.8 * nothing


def harmless(data: bytes, planes: list[Plane], shape: Shape) -> bool:
    """Decoding ends in symbols within range or in UnreadableError; says which."""
    try:
        found = decoded(data, planes, shape)
    except UnreadableError:
        return False
    assert all(abs(symbols).max(initial=0) <= LIMIT for symbols in found)
    return True


def test_every_truncation_is_noticed() -> None:
    planes, shape = a_plane(60)
    data = encoded(planes, shape)
    assert not any(harmless(data[:length], planes, shape) for length in range(len(data)))
    assert not harmless(data + bytes(4), planes, shape)


def test_flipped_bits_are_harmless_and_mostly_noticed() -> None:
    """Raw bits only change their symbol: what catches those is the container's checksum."""
    planes, shape = a_plane(60)
    data = encoded(planes, shape)
    unnoticed = 0
    for place in range(len(data) * 8):
        copy = bytearray(data)
        copy[place >> 3] ^= 1 << (place & 7)
        unnoticed += harmless(bytes(copy), planes, shape)
    assert unnoticed < 0.08 * len(data) * 8


@settings(max_examples=60, deadline=None)
@given(some_planes(), st.binary(max_size=80))
def test_noise_is_harmless(made: tuple[list[Plane], Shape], noise: bytes) -> None:
    planes, shape = made
    harmless(noise, planes, shape)
    harmless(noise[: len(noise) & ~3], planes, shape)


def test_any_side_information_is_harmless() -> None:
    rows = 300
    planes, shape = a_plane(rows)
    data, rng = encoded(planes, shape), np.random.default_rng(3)
    extremes: Any = [-(2**31), -1, 0, 1, 2**31 - 1]
    for _ in range(50):
        side = Side(
            first=rng.integers(0, 2**16, rows).astype(np.uint16),
            second=rng.integers(0, 2**16, rows).astype(np.uint16),
            near=rng.choice([*extremes, 5, rows], (rows, NEAR)).astype(np.int32),
            steps=rng.choice(extremes, rows).astype(np.int32),
            lengths=rng.choice(extremes, rows).astype(np.int32),
        )
        harmless(data, [(planes[0][0], side)], shape)
