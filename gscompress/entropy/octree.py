"""Positions on an integer grid as a tree of binary splits, coded breadth first.

The cube is halved along x, y, z, x, … A node with n >= 2 points codes how many fall into its lower half; a node with
one point is a leaf and ends there, so the order of the points costs nothing (log2 N! bits saved) and an empty or
unbounded outskirt costs next to nothing either. What lies below a leaf is sent elsewhere, as finely as a point needs.

The scheme of Devillers and Gandoin, "Geometric compression for interactive transmission" (2000), plus contexts.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError

I64 = npt.NDArray[np.int64]
U16 = npt.NDArray[np.uint16]
LEVELS = 90  # binary levels: 30 bits per axis
_COUNT_EDGES = np.array([2, 3, 4, 5, 7, 10, 16, 32, 128])
_HISTORY = 27  # how the last three ancestors split: both halves, upper only, lower only
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
        nodes = int(points > 1)
        self.level = 0
        self.first = np.zeros(nodes, np.int64)  # index of the first point
        self.count = np.full(nodes, points, np.int64)
        self.corner = np.zeros((nodes, 3), np.int64)
        self.size = np.full(nodes, _class(points), np.uint16)
        self.history = np.zeros(nodes, np.uint16)
        self.coordinates = np.zeros((points, 3), np.int64)  # of the points that are alone
        self.known = np.full(points, LEVELS if nodes else 0, np.int64)  # the level at which they became so

    def side(self) -> Side:
        return Side(first=self.size, second=self.history)

    def split(self, lower: I64) -> None:
        """Descend one level with ``lower`` points in each node's lower half."""
        nodes = (self.first, self.count, self.corner, self.history)
        self.first, self.count, self.corner, self.history, self.size = _split(
            self.level, lower, *nodes, self.coordinates, self.known
        )
        self.level += 1


@nb.njit(forceinline=True, nogil=True)
def _class(points: int) -> int:
    """The place of a node's number of points among _COUNT_EDGES."""
    place = 0
    while place + 1 < len(_COUNT_EDGES) and points >= _COUNT_EDGES[place + 1]:
        place += 1
    return place


@nb.njit(cache=True, nogil=True)
def _split(
    level: int, lower: I64, first: I64, count: I64, corner: I64, history: U16, coordinates: I64, known: I64
) -> tuple[I64, I64, I64, U16, U16]:
    """The nodes of the next level; points that are alone now, and duplicates at the last level, are written down."""
    room = 2 * len(first)
    firsts, counts, corners = np.empty(room, np.int64), np.empty(room, np.int64), np.empty((room, 3), np.int64)
    histories, sizes = np.empty(room, np.uint16), np.empty(room, np.uint16)
    made = 0
    axis, bit = level % 3, np.int64(1) << (29 - level // 3)
    for node in range(len(first)):
        outcome = 1 if lower[node] == 0 else (2 if lower[node] == count[node] else 0)
        ancestry = np.uint16((history[node] * 3 + outcome) % _HISTORY)
        for half in range(2):
            points = count[node] - lower[node] if half else lower[node]
            start = first[node] + (lower[node] if half else 0)
            if points == 0:
                continue
            x, y, z = corner[node, 0], corner[node, 1], corner[node, 2]
            if half:
                x, y, z = x | (bit if axis == 0 else 0), y | (bit if axis == 1 else 0), z | (bit if axis == 2 else 0)
            if points > 1 and level < LEVELS - 1:
                firsts[made], counts[made], histories[made] = start, points, ancestry
                sizes[made] = _class(points)
                corners[made, 0], corners[made, 1], corners[made, 2] = x, y, z
                made += 1
                continue
            for point in range(start, start + points):
                coordinates[point, 0], coordinates[point, 1], coordinates[point, 2] = x, y, z
                known[point] = level + 1
    return firsts[:made], counts[:made], corners[:made], histories[:made], sizes[:made]


@nb.njit(cache=True, nogil=True)
def _lower_halves(level: int, first: I64, count: I64, coordinates: I64) -> I64:
    """How many points of each node have a zero at this level. They come first: a binary search finds where they end."""
    axis, bit = level % 3, np.int64(1) << (29 - level // 3)
    lower = np.empty(len(first), np.int64)
    for node in range(len(first)):
        low, high = first[node], first[node] + count[node]
        while low < high:
            middle = (low + high) >> 1
            if coordinates[middle, axis] & bit:
                high = middle
            else:
                low = middle + 1
        lower[node] = low - first[node]
    return lower


def encode_tree(coordinates: I64) -> tuple[bytes, I64]:
    """Code (N, 3) coordinates below 2^30 that are in Morton order.

    Returns the stream and (N,) the binary level at which each point is alone (LEVELS for duplicates).
    """
    nodes, coder = _Nodes(len(coordinates)), PlaneEncoder(_SHAPE)
    while len(nodes.first):
        lower = _lower_halves(nodes.level, nodes.first, nodes.count, coordinates)
        upper = nodes.count - lower
        coder.add(np.stack([np.minimum(lower, upper), lower > upper], 1).astype(np.int32), nodes.side())
        nodes.split(lower)
    return coder.finish(), nodes.known


def decode_tree(data: bytes, points: int) -> tuple[I64, I64]:
    """The reverse: (N, 3) coordinates, unknown low bits zero, and (N,) known levels. Raises UnreadableError."""
    nodes, coder = _Nodes(points), PlaneDecoder(data, _SHAPE)
    while len(nodes.first):
        symbols = coder.take(len(nodes.first), nodes.side()).astype(np.int64)
        smaller = symbols[:, 0]
        if (smaller * 2 > nodes.count).any() or (symbols[:, 1] > 1).any():
            raise UnreadableError("the position tree splits a node into more points than it has: the file is corrupt")
        nodes.split(np.where(symbols[:, 1] == 1, nodes.count - smaller, smaller))
    coder.finish()
    return nodes.coordinates, nodes.known
