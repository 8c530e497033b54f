"""rANS: symbols come back, cost what their tables say, and no more than another implementation asks."""

from __future__ import annotations

from typing import Any

import constriction
import numpy as np
import pytest
import rans_twin
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gscompress.entropy import rans
from gscompress.entropy.plane import PlaneEncoder, Side
from gscompress.entropy.rans import decode, encode
from gscompress.entropy.rans_adaptive import decode_adaptive, encode_adaptive
from gscompress.entropy.rans_tables import _HEAD, _SHAPE, Tables
from gscompress.errors import UnreadableError

count_tables = hnp.arrays(
    np.int64,
    st.tuples(st.integers(1, 4), st.integers(1, 40)),
    elements=st.just(0) | st.integers(0, 9) | st.integers(0, 1 << 34),
)


def drawn(tables: Tables, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Symbols as often as their tables say."""
    return tables.slots()[rows, rng.integers(0, 1 << tables.precision, len(rows))].astype(np.int64)


@settings(max_examples=100, deadline=None)
@given(count_tables, st.integers(8, 15), st.integers(0, 300), st.integers(0, 2**32))
def test_symbols_come_back_under_a_table_each(counts: np.ndarray, precision: int, number: int, seed: int) -> None:
    tables, rng = Tables.from_counts(counts, precision), np.random.default_rng(seed)
    rows = rng.integers(0, len(counts), number)
    symbols = drawn(tables, rows, rng)
    data = encode(symbols, tables, rows)
    assert (decode(data, number, tables, rows) == symbols).all()
    chosen = tables.frequencies[rows].tolist()
    assert rans_twin.pull(data, chosen, precision) == symbols.tolist()
    starts = [sum(row[:s]) for row, s in zip(chosen, symbols.tolist())]
    assert data == rans_twin.push([(a, row[s]) for a, row, s in zip(starts, chosen, symbols.tolist())], precision)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 999])
def test_four_states_take_turns(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rans, "_FEW", 0)
    tables = Tables.from_counts([5, 90, 3, 1], 12)
    symbols = drawn(tables, np.zeros(number, np.intp), np.random.default_rng(4))
    data = encode(symbols, tables)
    assert (decode(data, number, tables) == symbols).all()
    table = tables.frequencies[0].tolist()
    assert data == rans_twin.push([(sum(table[:s]), table[s]) for s in symbols.tolist()], 12, 4)
    assert rans_twin.pull(data, [table] * number, 12, 4) == symbols.tolist()
    assert (decode_adaptive(encode_adaptive(symbols, 4), number, 4) == symbols).all()


@settings(max_examples=100, deadline=None)
@given(count_tables, st.integers(8, 15))
def test_tables_add_up_hold_every_symbol_and_come_back(counts: np.ndarray, precision: int) -> None:
    tables = Tables.from_counts(counts, precision)
    assert (tables.frequencies.sum(axis=1) == 1 << precision).all()
    some = counts.sum(axis=1) > 0
    assert ((tables.frequencies > 0) == (counts > 0))[some].all()
    assert (Tables.unpack(tables.pack()).frequencies == tables.frequencies).all()
    assert Tables.unpack(tables.pack()).precision == precision


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.int64, st.integers(2, 5), elements=st.integers(0, 40)))
def test_no_other_table_of_the_precision_costs_less(counts: np.ndarray) -> None:
    """Moving one slot from any symbol to any other never saves a bit: the cost is convex, so this is the best table."""
    tables = Tables.from_counts(counts, 8)
    best = tables.ideal_bits(counts)
    for a in np.flatnonzero(tables.frequencies[0] > 1):
        for b in np.flatnonzero(counts):
            moved = tables.frequencies.copy()
            moved[0, a] -= 1
            moved[0, b] += 1
            assert Tables(moved, 8).ideal_bits(counts) > best - max(1e-9, 0.002 * best)


@pytest.mark.parametrize("number", [0, 1, 2, 1 << 18, (1 << 18) + 1])
@pytest.mark.parametrize("shape", ["one symbol", "skewed", "flat", "every symbol once"])
def test_sizes_are_what_the_tables_say(number: int, shape: str) -> None:
    rng = np.random.default_rng(0)
    counts: Any = {
        "one symbol": [0, 0, 7],
        "skewed": [10**9, 1, 1],
        "flat": np.ones(256),
        "every symbol once": np.ones(1 << 15),
    }[shape]
    tables = Tables.from_counts(counts, 15)
    symbols = drawn(tables, np.zeros(number, np.intp), rng)
    data = encode(symbols, tables)
    assert (decode(data, number, tables) == symbols).all()
    ideal = tables.ideal_bits(np.bincount(symbols, minlength=tables.frequencies.shape[1]))
    assert -32 <= len(data) * 8 - ideal <= 64 * (1 if number <= 1 << 18 else 4)


@pytest.mark.parametrize("spread", [0.3, 3.0, 30.0])
def test_no_larger_than_constriction(spread: float) -> None:
    rng = np.random.default_rng(1)
    symbols = np.abs(np.round(rng.laplace(0, spread, 200_000))).astype(np.int32)
    counts = np.bincount(symbols)
    model = constriction.stream.model.Categorical(counts / counts.sum(), perfect=False)
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(symbols, model)
    assert len(encode(symbols, Tables.from_counts(counts, 15))) <= 1.001 * 4 * len(coder.get_compressed())


def test_the_learning_model_costs_little_more_than_the_best_table() -> None:
    rng = np.random.default_rng(2)
    contexts = rng.integers(0, 3, 60_000)
    symbols = np.minimum(rng.geometric(np.array([0.1, 0.5, 0.9])[contexts]) - 1, 19)
    counts = np.zeros((3, 20))
    np.add.at(counts, (contexts, symbols), 1)
    best = Tables.from_counts(counts, 15).ideal_bits(counts)
    assert len(encode_adaptive(symbols, 20, contexts)) * 8 < 1.03 * best
    assert len(encode_adaptive(symbols, 20)) * 8 > 1.2 * best


def test_the_learning_model_follows_a_drift() -> None:
    symbols = np.repeat(np.arange(8), 3000) % 8
    counts = np.bincount(symbols)
    assert len(encode_adaptive(symbols, 8)) * 8 < 0.1 * Tables.from_counts(counts).ideal_bits(counts)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 256), st.integers(0, 200), st.integers(1, 5), st.integers(3, 10), st.integers(0, 2**32))
def test_symbols_come_back_from_the_learning_model(
    alphabet: int, number: int, kinds: int, rate: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    contexts = rng.integers(0, kinds, number)
    symbols = np.minimum(rng.geometric(0.3, number) - 1, alphabet - 1)
    data = encode_adaptive(symbols, alphabet, contexts, rate=rate)
    assert (decode_adaptive(data, number, alphabet, contexts, rate=rate) == symbols).all()
    intervals = rans_twin.adaptive_intervals(symbols.tolist(), alphabet, contexts.tolist(), rate)
    assert data == rans_twin.push(intervals, 15)


@pytest.mark.parametrize("symbols", [[3], [-1], [0, 1, 5]])
def test_symbols_without_a_code_are_refused(symbols: list[int]) -> None:
    with pytest.raises(ValueError, match=r"symbol"):
        encode(np.array(symbols), Tables.from_counts([5, 5, 5, 0]))
    with pytest.raises(ValueError, match=r"symbol"):
        encode_adaptive(np.array(symbols), 3)


@pytest.mark.parametrize("counts", [[-1, 2], [], [[[1]]], [1 << 40]])
def test_impossible_counts_are_refused(counts: Any) -> None:
    with pytest.raises(ValueError, match="counts must be"):
        Tables.from_counts(counts)


def test_too_many_symbols_are_refused() -> None:
    with pytest.raises(ValueError, match="257 symbols do not fit"):
        Tables.from_counts(np.ones(257), 8)


def harmless(work: Any, *arguments: Any) -> bool:
    try:
        work(*arguments)
    except UnreadableError:
        return False
    return True


def test_damaged_streams_are_noticed() -> None:
    rng = np.random.default_rng(3)
    tables = Tables.from_counts([5, 90, 3, 1], 12)
    symbols = drawn(tables, np.zeros(300, np.intp), rng)
    for data, work, rest in (
        (encode(symbols, tables), decode, (300, tables)),
        (encode_adaptive(symbols, 4), decode_adaptive, (300, 4)),
    ):
        assert harmless(work, data, *rest)
        assert not any(harmless(work, data[:length], *rest) for length in range(len(data)))
        for place in range(len(data) * 8):
            copy = bytearray(data)
            copy[place >> 3] ^= 1 << (place & 7)
            assert not harmless(work, bytes(copy), *rest)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=100), st.integers(0, 40_000))
def test_noise_is_harmless(noise: bytes, number: int) -> None:
    tables = Tables.from_counts([[5, 90, 3, 1], [0, 0, 1, 0]], 12)
    rows = np.arange(number) % 3
    for data in (noise, noise[: len(noise) & ~3]):
        harmless(decode, data, number, tables)
        harmless(decode, data, number, tables, rows)
        harmless(decode_adaptive, data, number, 9, rows)
        harmless(Tables.unpack, data)
        harmless(Tables.unpack, _HEAD.pack(12, 2, 4) + data)


def test_a_table_number_that_does_not_exist_is_noticed() -> None:
    tables = Tables.from_counts([[1, 1], [1, 3]])
    data = encode(np.array([0, 1]), tables, np.array([0, 1]))
    for rows in ([0, 2], [0], [0, -1], [0, 65536 * 3 + 2]):
        assert not harmless(decode, data, 2, tables, np.array(rows))


def test_tables_that_do_not_add_up_or_claim_too_much_are_noticed() -> None:
    coder = PlaneEncoder(_SHAPE)
    coder.add(np.array([[100], [155]]), Side())
    stream = coder.finish()
    for head in ((8, 1, 2), (8, 2, 1), (7, 1, 2), (8, 1 << 31, 1 << 31), (8, 0, 5), (8, 1 << 21, 2)):
        assert not harmless(Tables.unpack, _HEAD.pack(*head) + stream)
