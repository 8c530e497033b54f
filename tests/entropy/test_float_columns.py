"""Float columns come back bit by bit, whatever the bits are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gscompress.entropy import float_columns
from gscompress.entropy.float_columns import decode_columns, encode_columns
from gscompress.errors import UnreadableError

patterns = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1 << 31, 0x7F800000, 0xFFC00001, 1, 0x3F800000, 0x807FFFFF])
tables = hnp.arrays(np.uint32, st.tuples(st.integers(0, 20), st.integers(1, 6)), elements=patterns)


@settings(max_examples=60, deadline=None)
@given(tables, st.sampled_from([1, 3]))
def test_any_bit_pattern_comes_back(bits: np.ndarray, stride: int) -> None:
    assert (decode_columns(encode_columns(bits, stride), *bits.shape, stride) == bits).all()


def test_blocks_share_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = np.random.default_rng(0).normal(size=(3000, 5)).astype(np.float32).view(np.uint32)
    whole = encode_columns(bits)
    monkeypatch.setattr(float_columns, "BLOCK", 1000)
    parts = encode_columns(bits)
    assert (decode_columns(parts, 3000, 5) == bits).all()
    assert len(parts) < len(whole) + 15 * 16  # a start state and a length per block, nothing learnt twice


def test_half_precision_costs_half() -> None:
    values = np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float16).astype(np.float32)
    exact = np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float32)
    small, large = (len(encode_columns(v.view(np.uint32))) for v in (values, exact))
    # Half precision has 13 mantissa bits less, and they must cost nothing.
    assert large - small > 4000 * 3 * 13 / 8 * 0.97


def test_lockstep_coefficients_are_recognised() -> None:
    rng = np.random.default_rng(0)
    # All coefficients of a colour agree in their first bits, up to sign.
    size = rng.lognormal(size=(3000, 1, 3)) * np.ones((1, 7, 1)) * rng.uniform(1, 1.005, (3000, 7, 3))
    values = (size * rng.choice([-1, 1], (3000, 1, 3))).astype(np.float32).reshape(3000, 21)
    shuffled = np.stack([rng.permutation(column) for column in values.T], 1)
    aware, blind = (len(encode_columns(np.ascontiguousarray(v).view(np.uint32), 3)) for v in (values, shuffled))
    assert aware < 0.8 * blind


def test_damage_is_noticed() -> None:
    bits = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32).view(np.uint32)
    data = encode_columns(bits)
    for length in range(len(data)):
        with pytest.raises(UnreadableError):
            decode_columns(data[:length], 50, 3)
    with pytest.raises(UnreadableError):
        decode_columns(data + b"\0", 50, 3)
