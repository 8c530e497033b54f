"""Adaptive binary coding: counters, logistic mixing and a range-ANS coder, all in integers.

A few context counters each predict the next bit; an online-trained logistic mixer blends them (the scheme of
Mahoney, "Adaptive Weighing of Context Models", 2005); a 64-bit rANS coder (Duda 2013) spends -log2 p bits on it.
rANS is last in, first out, so the encoder first logs (probability, bit) pairs and then codes them backwards;
the decoder runs model and coder together. One kernel serves both directions: ``coder[MODE]`` says which, so
that encoder and decoder cannot drift apart. Everything below is integer arithmetic: bit-exact on any machine.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]

PROB_BITS = 16
ONE = 1 << PROB_BITS
INPUTS = 3  # counters that vote on every bit of a float
# A counter is a probability in its upper 22 bits and the number of bits seen in the lower 10.
COUNT_LIMIT = 250
FRESH = np.uint32(1 << 31)
STRETCH_UNIT = 256  # fixed-point one of the logistic domain
MIXER_SHIFT = 16
# Slots of the coder state array.
MODE, STATE, POSITION, LIMIT = 0, 1, 2, 3
ENCODE, DECODE = 0, 1
_LOWER = 1 << 31


def _tables() -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """Stretch (4096 → logistic domain), squash (its inverse to 16 bits), reciprocals of the counter's age.

    Built with integers only: squash from a rational approximation of the logistic function, stretch as its
    inverse, so that no math library decides a bit.
    """
    # exp(k / 8) for k = 0..64 in units of 2^-20, by repeated integer multiplication with exp(1/8) (2^-40 units).
    step, unit = 1245909900143, 1 << 40
    powers = [1 << 20]
    exact = 1 << 60
    for _ in range(64):
        exact = exact * step // unit
        powers.append(exact >> 40)
    squash = np.zeros(4096, np.int32)
    for index in range(4096):
        x = index - 2048  # logistic argument in 1/256
        eighth, rest = divmod(abs(x), STRETCH_UNIT // 8)
        low, high = powers[eighth], powers[min(eighth + 1, 64)]
        grown = low + (high - low) * rest // (STRETCH_UNIT // 8)
        positive = (ONE * grown) // (grown + (1 << 20))
        squash[index] = positive if x >= 0 else ONE - positive
    squash = np.clip(squash, 24, ONE - 24)
    stretch = np.zeros(4096, np.int32)
    position = 0
    for index in range(4096):
        while position < 4095 and squash[position] < index * 16 + 8:
            position += 1
        stretch[index] = position - 2048
    ages = np.array([65536 * 2 // (2 * n + 3) for n in range(1024)], np.int32)
    return stretch.astype(np.int16), squash.astype(np.uint16), ages  # small, to share the first-level cache


STRETCH, SQUASH, AGES = _tables()


@nb.njit(forceinline=True, nogil=True)
def stretch(counter: int) -> int:
    """A counter's vote in the logistic domain (1/256 units)."""
    return np.int64(STRETCH[np.uint64(counter >> 20)])


@nb.njit(forceinline=True, nogil=True)
def squash(dot: int) -> int:
    """Probability of a one, 16 bits, for a mixed vote (weights are 16.16)."""
    return np.int64(SQUASH[np.uint64(min(max(dot >> 16, -2047), 2047) + 2048)])


@nb.njit(forceinline=True, nogil=True)
def learn(counter: int, bit: int) -> int:
    """A counter moved towards the bit by 1 / (age + 1.5)."""
    p, age = counter >> 10, counter & 1023
    p += (((bit << 22) - bit - p) * np.int64(AGES[np.uint64(age)])) >> 16
    return (p << 10) | (age + np.int64(age < COUNT_LIMIT))


@nb.njit(cache=True, nogil=True)
def _flush(log: U32, count: int, out: U32) -> int:
    """rANS over the logged decisions, backwards; words are stored from the end of ``out``. Returns the first index."""
    x = np.uint64(_LOWER)
    place = len(out)
    for i in range(count - 1, -1, -1):
        entry = np.int64(log[i])
        if entry & 0x80000000:
            bits = (entry >> 16) & 0x7FFF
            if x >> np.uint64(63 - bits):
                place -= 1
                out[place] = np.uint32(x & np.uint64(0xFFFFFFFF))
                x >>= np.uint64(32)
            x = (x << np.uint64(bits)) | np.uint64(entry & 0xFFFF)
        else:
            p = entry >> 1
            bit = entry & 1
            frequency = np.uint64(p if bit else ONE - p)
            start = np.uint64(0 if bit else p)
            if x >= frequency << np.uint64(63 - PROB_BITS):
                place -= 1
                out[place] = np.uint32(x & np.uint64(0xFFFFFFFF))
                x >>= np.uint64(32)
            x = ((x // frequency) << np.uint64(PROB_BITS)) + (x % frequency) + start
    place -= 2
    out[place] = np.uint32(x >> np.uint64(32))
    out[place + 1] = np.uint32(x & np.uint64(0xFFFFFFFF))
    return place


def begin_encoding(capacity: int) -> tuple[I64, U32]:
    """Coder state and decision log for at most ``capacity`` decisions."""
    return np.array([ENCODE, 0, 0, capacity], np.int64), np.empty(capacity, np.uint32)


def finish_encoding(coder: I64, log: U32) -> bytes:
    """The coded bytes (little-endian 32-bit words)."""
    count = int(coder[POSITION])
    out = np.empty(count + 4, np.uint32)
    return out[_flush(log, count, out) :].astype("<u4").tobytes()


def begin_decoding(data: bytes) -> tuple[I64, U32]:
    """Coder state and words to decode from. Raises UnreadableError for a stream that cannot be one."""
    if len(data) < 8 or len(data) % 4:
        raise UnreadableError("an entropy-coded stream has a wrong length: the file is corrupt")
    words = np.frombuffer(data, "<u4").astype(np.uint32)
    state = (int(words[0]) << 32) | int(words[1])
    if state >> 63:
        raise UnreadableError("an entropy-coded stream starts with an impossible state: the file is corrupt")
    return np.array([DECODE, state, 2, len(words)], np.int64), words


def finish_decoding(coder: I64) -> None:
    """Check that the stream ended exactly where it should. Raises UnreadableError."""
    if coder[POSITION] != coder[LIMIT] or coder[STATE] != _LOWER:
        raise UnreadableError("an entropy-coded stream does not end where its symbols do: the file is corrupt")


def ideal_bits(coder: I64, log: U32) -> float:
    """Information content of the logged decisions under the model, in bits: what a perfect coder would spend."""
    entries = log[: int(coder[POSITION])]
    raw = entries >> 31 == 1
    modelled = entries[~raw]
    p = (modelled >> 1).astype(np.float64) / ONE
    p = np.where(modelled & 1, p, 1 - p)
    return float(-np.log2(p).sum() + ((entries[raw] >> 16) & 0x7FFF).sum())
