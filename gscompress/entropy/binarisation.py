"""How one integer becomes a handful of yes-or-no questions: the tree that plane.py walks.

    zero?  →  sign  →  exponent e in unary (2^e <= magnitude)  →  up to two mantissa bits  →  the rest as raw bits

Every question is a node with a counter per context. The nodes of magnitudes 0 to 7 and their mantissas come first, so
that the counters that most symbols need lie in one cache line of a context. ``NEXT[2 * node + bit]`` is the node after
an answer, or NODES + t at the end of the tree, where ``BASE[t]`` is the magnitude and ``RAW[t]`` the raw bits to add.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

NODES = 48  # of which 47 are used; three whole cache lines of counters
TOP = 23  # the largest exponent: magnitudes are below 2^24
ZERO, SIGN, EXPONENT = 0, 1, 4  # nodes: zero flag; sign, one for each sign of the neighbours' mean; first exponent
_ONE_BIT, _TWO_BITS = 12, 5  # the largest exponents of which one and two mantissa bits are modelled


def _depth(exponent: int) -> int:
    """Mantissa bits that are modelled."""
    return min(exponent, 2 if exponent <= _TWO_BITS else 1 if exponent <= _ONE_BIT else 0)


def _order() -> list[str]:
    """Names of the nodes in memory order: e3 is "is the exponent above 3?", m3 and m31 mantissa bits of exponent 3."""
    names = [
        "zero",
        "sign-",
        "sign0",
        "sign+",
        "e0",
        "e1",
        "e2",
        "e3",
        "m1",
        "m2",
        "m20",
        "m21",
        "e4",
        "m3",
        "m30",
        "m31",
    ]
    names += [f"e{e}" for e in range(5, TOP)]
    for e in range(4, _ONE_BIT + 1):
        names += [f"m{e}"] + ([f"m{e}0", f"m{e}1"] if _depth(e) == 2 else [])
    return names


def _tables() -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    place = {name: index for index, name in enumerate(_order())}
    following = np.zeros(2 * NODES, np.uint8)
    ends: list[tuple[int, int]] = []

    def end(base: int, raw: int) -> int:
        ends.append((base, raw))
        return NODES + len(ends) - 1

    def mantissa(exponent: int) -> int:
        return place[f"m{exponent}"] if _depth(exponent) else end(1 << exponent, exponent)

    following[0] = end(0, 0)
    for sign in ("sign-", "sign0", "sign+"):
        following[2 * place[sign] : 2 * place[sign] + 2] = EXPONENT
    for e in range(TOP):
        node = 2 * place[f"e{e}"]
        following[node : node + 2] = mantissa(e), place[f"e{e + 1}"] if e + 1 < TOP else mantissa(TOP)
    for e in range(1, _ONE_BIT + 1):
        for high in (0, 1):
            node = 2 * place[f"m{e}"] + high
            if _depth(e) == 1:
                following[node] = end((2 | high) << (e - 1), e - 1)
                continue
            following[node] = place[f"m{e}{high}"]
            for low in (0, 1):
                following[2 * place[f"m{e}{high}"] + low] = end((4 | 2 * high | low) << (e - 2), e - 2)
    base, raw = np.array(ends).T
    return following, base.astype(np.int32), raw.astype(np.uint8)


NEXT, BASE, RAW = _tables()
_DEPTH = np.array([_depth(e) for e in range(TOP + 1)], np.uint8)
DECISIONS = 2 + TOP + 2  # log entries of one symbol at most: zero, sign, exponent, two pieces of raw bits


@nb.njit(forceinline=True, nogil=True)
def answers(symbol: int, signed: bool) -> tuple[int, int]:
    """The answers that lead to a symbol, first one in the highest bit, and how many there are."""
    magnitude = abs(symbol)
    if magnitude == 0:
        return np.int64(0), np.int64(1)
    e = np.int64(0)
    while (magnitude >> 1) >> e:
        e += 1
    bits, count = np.int64(1), np.int64(1)
    if signed:
        bits, count = np.int64(2) | np.int64(symbol < 0), np.int64(2)
    bits, count = ((bits + 1) << e) - 1, count + e
    if e < TOP:
        bits, count = bits << 1, count + 1
    depth = np.int64(_DEPTH[np.uint64(e)])
    return (bits << depth) | ((magnitude >> (e - depth)) & ((1 << depth) - 1)), count + depth
