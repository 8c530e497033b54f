"""The plane model again, written to be read: Python integers, divisions, dictionaries, names instead of addresses.

Slow. ``encode`` and ``decode`` must give the same bytes and symbols as gscompress.entropy.plane.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any

from gscompress.entropy.binary import AGES, SQUASH, STRETCH
from gscompress.entropy.plane import Shape, Side

Ask = Callable[[int, int], int]  # (probability of a one, the bit when it is known) → the bit
Read = Callable[[int, int], int]  # (how many raw bits, their value when it is known) → their value
LOWER = 1 << 31


def bucket(total: int) -> int:
    return sum(total >= edge for edge in (1, 2, 3, 5, 8, 13, 21))


def towards_zero(total: int, parts: int) -> int:
    """total / parts rounded to nearest, halves away from zero."""
    size = (2 * abs(total) + parts) // (2 * parts)
    return size if total > 0 else -size


class Model:
    """Asks the questions of one plane after another; ``ask`` and ``read`` code or decode the answers."""

    def __init__(self, shape: Shape, ask: Ask, read: Read) -> None:
        self.shape, self.ask, self.read = shape, ask, read
        self.counters: dict[Hashable, tuple[int, int]] = defaultdict(lambda: (1 << 21, 0))  # 22-bit probability, age
        self.weights: dict[Hashable, list[int]] = defaultdict(lambda: [19660] * 4 + [0])
        self.recent: dict[Hashable, int] = defaultdict(lambda: 1 << 21)

    def answer(self, contexts: tuple[Hashable, ...], column: int, question: Hashable, known: int) -> int:
        keys = [(context, column, question) for context in contexts]
        place = (column, question)
        votes = [int(STRETCH[self.counters[key][0] >> 10]) for key in keys]
        votes += [int(STRETCH[self.recent[place] >> 10]), 256]
        dot = sum(w * v for w, v in zip(self.weights[place], votes)) >> 16
        p = int(SQUASH[max(-2047, min(dot, 2047)) + 2048])
        bit = self.ask(p, known)
        error = 3 * ((bit << 16) - p)
        self.weights[place] = [w + ((v * error + 32768) >> 16) for w, v in zip(self.weights[place], votes)]
        goal = (1 << 22) - 1 if bit else 0
        self.recent[place] += (goal - self.recent[place]) >> 3
        for key in keys:
            chance, age = self.counters[key]
            self.counters[key] = chance + (((goal - chance) * int(AGES[age])) >> 16), min(age + 1, 250)
        return bit

    def symbol(self, contexts: tuple[Hashable, ...], column: int, lean: int, known: int) -> int:
        def answer(question: Hashable, value: int) -> int:
            return self.answer(contexts, column, question, value)

        size = abs(known)
        if not answer("is it something", int(size > 0)):
            return 0
        negative = answer(("is it negative", lean), int(known < 0)) if self.shape.signed else 0
        exponent = 0
        while exponent < 23 and answer(("above", exponent), int(size >= 2 << exponent)):
            exponent += 1
        found, left = 1, exponent
        for modelled_up_to in (12, 5):
            if left and exponent <= modelled_up_to:
                left -= 1
                found = found << 1 | answer(("mantissa", exponent, found), size >> left & 1)
        while left:
            piece = min(left, 16)
            left -= piece
            found = found << piece | self.read(piece, (size >> left) & ((1 << piece) - 1))
        return -found if negative else found

    def plane(self, symbols: list[list[int]], side: Side) -> None:
        """Fill in ``symbols`` (N rows of C), or code them."""
        values: list[list[int]] = []
        for i, row in enumerate(symbols):
            step = 1 if side.steps is None else max(1, int(side.steps[i]))
            near = [i - 1, i - 2, i - 3, i - 4] if side.near is None else [int(n) for n in side.near[i]]
            known = [0 <= n < i for n in near]
            near = [n if ok else near[0] for n, ok in zip(near, known)] if known[0] else []
            first = 0 if side.first is None else min(int(side.first[i]), self.shape.first_classes - 1)
            second = 0 if side.second is None else min(int(side.second[i]), self.shape.second_classes - 1)
            present = self.shape.columns if side.lengths is None else int(side.lengths[i])
            before, magnitudes = 0, 0
            values.append([0] * self.shape.columns)
            for j in range(min(present, self.shape.columns)):
                around = [values[n][j] for n in near] or [0] * 4
                total = 2 * around[0] + 2 * around[1] + around[2] + around[3]
                mean = towards_zero(total, 6 * step)
                lean = (mean > 0) - (mean < 0)
                left = min(bucket(abs(before)), 5) * (1 if before > 0 else -1)
                contexts = (
                    ("a", first, left),
                    ("b", lean * bucket(abs(mean)), bucket((max(around) - min(around)) // step)),
                    ("c", second, bucket(magnitudes)),
                )
                before = row[j] = self.symbol(contexts, j, lean, row[j])
                magnitudes = min((3 * magnitudes + 2) // 4 + abs(before), 1 << 20)
                values[i][j] = max(-(1 << 30), min(before * step, 1 << 30))


def encode(planes: list[tuple[Any, Side]], shape: Shape) -> bytes:
    log: list[tuple[int, int, int]] = []  # start, frequency, bits of precision

    def ask(p: int, bit: int) -> int:
        log.append((0, p, 16) if bit else (p, 65536 - p, 16))
        return bit

    def read(bits: int, value: int) -> int:
        log.append((value, 1, bits))
        return value

    model = Model(shape, ask, read)
    for symbols, side in planes:
        model.plane(symbols.tolist(), side)
    x, words = LOWER, []
    for start, frequency, bits in reversed(log):
        if x >= frequency << (63 - bits):
            words.append(x & 0xFFFFFFFF)
            x >>= 32
        x = (x // frequency << bits) + x % frequency + start
    words += [x & 0xFFFFFFFF, x >> 32]
    return struct.pack(f"<{len(words)}I", *reversed(words))


def decode(data: bytes, sides: list[tuple[int, Side]], shape: Shape) -> list[list[list[int]]]:
    words = list(struct.unpack(f"<{len(data) // 4}I", data))
    x = words.pop(0) << 32 | words.pop(0)

    def refill() -> None:
        nonlocal x
        if x < LOWER:
            x = x << 32 | words.pop(0)

    def ask(p: int, _: int) -> int:
        nonlocal x
        low = x & 65535
        bit = int(low < p)
        x = p * (x >> 16) + low if bit else (65536 - p) * (x >> 16) + low - p
        refill()
        return bit

    def read(bits: int, _: int) -> int:
        nonlocal x
        value = x & ((1 << bits) - 1)
        x >>= bits
        refill()
        return value

    model, planes = Model(shape, ask, read), []
    for rows, side in sides:
        planes.append([[0] * shape.columns for _ in range(rows)])
        model.plane(planes[-1], side)
    assert x == LOWER
    assert not words
    return planes
