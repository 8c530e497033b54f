"""Positions on an integer grid as a tree of binary splits, coded breadth first.

The cube is halved along x, y, z, x, … A node with n >= 2 points codes how many fall into its lower half; a node with
one point is a leaf and ends there, so the order of the points costs nothing (log2 N! bits saved) and an empty or
unbounded outskirt costs next to nothing either. What lies below a leaf is sent elsewhere, as finely as a point needs.

The scheme of Devillers and Gandoin, "Geometric compression for interactive transmission" (2000), plus contexts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError

I64 = npt.NDArray[np.int64]
LEVELS = 90  # binary levels: 30 bits per axis
_COUNT_EDGES = np.array([2, 3, 4, 5, 7, 10, 16, 32, 128])
_HISTORY = 27


_SHAPE = Shape(columns=2, first_classes=len(_COUNT_EDGES), second_classes=_HISTORY, signed=False)


def morton_order(coordinates: I64) -> I64:
    """The order in which the tree visits points. coordinates: (N, 3) integers below 2^30."""
    high, low = (_interleave(coordinates >> shift & 0x7FFF) for shift in (15, 0))
    return np.lexsort((low, high))


def _interleave(c: I64) -> I64:
    """15 bits per axis to one 45-bit key, x in the highest place of each triple."""
    key = np.zeros(len(c), np.int64)
    for bit in range(14, -1, -1):
        for axis in range(3):
            key = key << 1 | (c[:, axis] >> bit & 1)
    return key


class _Nodes:
    """The nodes of one level that hold two or more points, in order, and what their splits are predicted from."""

    def __init__(self, points: int) -> None:
        self.first = np.zeros(int(points > 1), np.int64)  # index of the first point
        self.count = np.full(int(points > 1), points, np.int64)
        self.history = np.zeros(int(points > 1), np.int64)  # how the last three ancestors split

    def side(self) -> Side:
        bucket = np.searchsorted(_COUNT_EDGES, self.count, side="right") - 1
        return Side(first=bucket.astype(np.uint16), second=self.history.astype(np.uint16))

    def split(self, lower: I64) -> I64:
        """Descend one level with ``lower`` points in each node's lower half. Returns the points isolated by it."""
        count = np.stack([lower, self.count - lower], 1).ravel()
        first = np.stack([self.first, self.first + lower], 1).ravel()
        outcome = np.where(lower == 0, 1, np.where(lower == self.count, 2, 0))
        history = np.repeat((self.history * 3 + outcome) % _HISTORY, 2)
        keep = count >= 2
        isolated = first[count == 1]
        self.first, self.count, self.history = first[keep], count[keep], history[keep]
        return isolated


def encode_tree(coordinates: I64) -> tuple[bytes, I64]:
    """Code (N, 3) coordinates below 2^30 that are in Morton order.

    Returns the stream and (N,) the binary level at which each point is alone (LEVELS for duplicates).
    """
    nodes, coder = _Nodes(len(coordinates)), PlaneEncoder(_SHAPE)
    known = np.full(len(coordinates), LEVELS if len(coordinates) > 1 else 0, np.int64)
    for level in range(LEVELS):
        if not len(nodes.first):
            break
        upper_bit = coordinates[:, level % 3] >> (29 - level // 3) & 1
        running = np.concatenate([[0], np.cumsum(upper_bit)])
        lower = nodes.count - (running[nodes.first + nodes.count] - running[nodes.first])
        upper = nodes.count - lower
        coder.add(np.stack([np.minimum(lower, upper), lower > upper], 1).astype(np.int32), nodes.side())
        known[nodes.split(lower)] = level + 1
    return coder.finish(), known


def decode_tree(data: bytes, points: int) -> tuple[I64, I64]:
    """The reverse: (N, 3) coordinates, unknown low bits zero, and (N,) known levels. Raises UnreadableError."""
    nodes, coder = _Nodes(points), PlaneDecoder(data, _SHAPE)
    coordinates = np.zeros((points, 3), np.int64)
    known = np.full(points, LEVELS if points > 1 else 0, np.int64)
    for level in range(LEVELS):
        if not len(nodes.first):
            break
        symbols = coder.take(len(nodes.first), nodes.side()).astype(np.int64)
        smaller = symbols[:, 0]
        if (smaller * 2 > nodes.count).any() or (symbols[:, 1] > 1).any():
            raise UnreadableError("the position tree splits a node into more points than it has: the file is corrupt")
        lower = np.where(symbols[:, 1] == 1, nodes.count - smaller, smaller)
        edges = np.zeros(points + 1, np.int64)
        np.add.at(edges, nodes.first + lower, 1)
        np.add.at(edges, nodes.first + nodes.count, -1)
        coordinates[:, level % 3] |= np.cumsum(edges[:-1]) << (29 - level // 3)
        known[nodes.split(lower)] = level + 1
    coder.finish()
    return coordinates, known
