"""rans.py again with Python's long integers: one loop, no tables of slots. Slow; must give the same bytes."""

from __future__ import annotations

import struct

LOWER = 1 << 31
Interval = tuple[int, int]  # start and frequency of 2^precision


def push(intervals: list[Interval], precision: int, lanes: int = 1) -> bytes:
    states, words = [LOWER] * lanes, []
    for i in reversed(range(len(intervals))):
        start, frequency = intervals[i]
        x = states[i % lanes]
        if x >= frequency << (63 - precision):
            words.append(x & 0xFFFFFFFF)
            x >>= 32
        states[i % lanes] = (x // frequency << precision) + x % frequency + start
    head = [half for x in states for half in (x >> 32, x & 0xFFFFFFFF)]
    return struct.pack(f"<{len(head) + len(words)}I", *head, *reversed(words))


def pull(data: bytes, rows: list[list[int]], precision: int, lanes: int = 1) -> list[int]:
    """rows: the frequency table of each symbol."""
    words = list(struct.unpack(f"<{len(data) // 4}I", data))
    states = [words.pop(0) << 32 | words.pop(0) for _ in range(lanes)]
    out = []
    for i, row in enumerate(rows):
        x = states[i % lanes]
        slot, symbol, start = x & ((1 << precision) - 1), 0, 0
        while start + row[symbol] <= slot:
            start += row[symbol]
            symbol += 1
        x = row[symbol] * (x >> precision) + slot - start
        states[i % lanes] = x << 32 | words.pop(0) if x < LOWER else x
        out.append(symbol)
    assert states == [LOWER] * lanes
    assert not words
    return out


def adaptive_intervals(symbols: list[int], alphabet: int, contexts: list[int], rate: int) -> list[Interval]:
    """What rans_adaptive's model gives each symbol, of 2^15."""
    whole = (1 << 15) - alphabet
    tables: dict[int, list[int]] = {}
    ages: dict[int, int] = {}
    out = []
    for symbol, context in zip(symbols, contexts):
        table = tables.setdefault(context, [s * whole // alphabet for s in range(alphabet)] + [whole])
        age = ages.get(context, 0)
        out.append((table[symbol] + symbol, table[symbol + 1] - table[symbol] + 1))
        for s in range(1, alphabet):
            table[s] += ((whole if s > symbol else 0) - table[s]) >> min(rate, 3 + age // 4)
        ages[context] = min(age + 1, 255)
    return out
