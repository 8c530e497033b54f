"""Feature planes as blocks of 8x8 cosine coefficients: what no ray sees becomes smooth, what few see gets coarse steps.

A plane's feature has a step of its own, and every block of a plane a factor for all its features, both by sensitivity:
blocks that nobody sees become zeros that way, so there is no mask besides. A block's coefficients go in zigzag order
up to the last that is not zero. Steps are whole quarter octaves and the inverse transform adds in a fixed order, so
decoding is exact everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs.tables import quarter_octaves
from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.errors import UnreadableError
from gscompress.quant.rounding import cost_table, rdoq

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
SIDE = 8
_AREA = SIDE * SIDE
_PRICE = 0.07  # squared steps that a bit is worth
_COARSER = 1.5  # squared steps are that much larger than the error's share would have them without dead zone
_ROUNDS = 3
_TABLED = 12  # symbols above are priced as this
_QUARTERS = (-200, 200)
_FACTORS = (-6, 12)  # half octaves of blocks, around the plane's own
_UNSEEN = 1e-3  # of the mean sensitivity
_SMOOTHINGS = 24
_PLANES = 8  # that have statistics of their own
_LARGEST = (1 << 22) - 1
_LENGTHS = Shape(columns=1, first_classes=_PLANES, second_classes=16, signed=False)
_SYMBOLS = Shape(columns=_AREA, first_classes=_PLANES, second_classes=16, signed=True)
_STEPS = Shape(columns=1, first_classes=2 * _PLANES, second_classes=1, signed=True)
# cos(k pi / 16) for k = 0 to 8, spelt out: no math library decides a bit.
_COSINES = (
    1.0,
    0.9807852804032304,
    0.9238795325112867,
    0.8314696123025452,
    0.7071067811865476,
    0.5555702330196022,
    0.3826834323650898,
    0.19509032201612828,
    0.0,
)


def _waves() -> F64:
    """(8, 8) orthonormal DCT-II, a wave per row."""
    out = np.empty((SIDE, SIDE))
    for k in range(SIDE):
        for x in range(SIDE):
            angle = (2 * x + 1) * k % 32
            angle = min(angle, 32 - angle)
            cosine = _COSINES[angle] if angle <= 8 else -_COSINES[16 - angle]
            out[k, x] = cosine * (0.5 if k else 0.3535533905932738)
    return out


_WAVES = _waves()
_ZIGZAG = np.array(
    sorted(range(_AREA), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8)), np.int64
)


@dataclass(frozen=True)
class Blocks:
    """symbols: (R, B, 64) of R features and B blocks row by row, in zigzag order. steps: (R,) quarter octaves.
    factors: (B,) half octaves."""

    symbols: I64
    steps: I64
    factors: I64

    def values(self, shape: tuple[int, ...]) -> F32:
        """The plane (H, W, R)."""
        scale = quarter_octaves(self.steps[:, None] + 2 * self.factors)
        blocks = np.zeros(self.symbols.shape)
        blocks[:, :, _ZIGZAG] = self.symbols * scale[:, :, None]
        return _joined(_inverse(blocks.reshape(*blocks.shape[:2], SIDE, SIDE)), shape[:2])


def quantize(plane: F32, sensitivity: F64, cost: float) -> Blocks:
    """Round a plane (H, W, R) so that every value costs about ``cost`` of the pictures' squared error.

    sensitivity: of its shape, what a squared unit of error costs.
    """
    mean = max(float(sensitivity.mean()), 1e-30)
    coefficients = _forward(_split(_filled(plane, sensitivity)))
    weights = _split(sensitivity).mean((2, 3))  # (R, B)
    weights = np.maximum(weights, _UNSEEN * mean)  # rays that were not asked may see what these have not
    feature, block = weights.mean(1), weights.mean(0)
    steps = np.clip(np.rint(2 * np.log2(12 * _COARSER * cost / feature)), *_QUARTERS).astype(np.int64)
    factors = np.clip(np.rint(np.log2(weights.mean() / block)), *_FACTORS).astype(np.int64)
    scale = quarter_octaves(steps[:, None] + 2 * factors)
    scaled = np.clip(
        coefficients.reshape(*weights.shape, _AREA)[:, :, _ZIGZAG] / scale[:, :, None], -_LARGEST, _LARGEST
    )
    # What steps do not tell apart, blocks of one factor and features within them, rounding does.
    relative = np.clip(weights * scale**2 / (12 * _COARSER * cost), 1e-3, 4.0)
    return Blocks(_cheapest(scaled, relative[:, :, None]), steps, factors)


def _cheapest(scaled: F64, weights: F64) -> I64:
    """Symbols with the least weight * error^2 + price * bits, bits by frequency and the size of the same feature's
    block before."""
    symbols = np.rint(scaled).astype(np.int64)
    for _ in range(_ROUNDS):
        busy = np.abs(symbols).sum(2)
        before = np.concatenate([np.zeros((len(busy), 1), np.int64), busy[:, :-1]], 1)
        around = np.minimum(np.frexp(before.astype(np.float64))[1], 5)
        contexts = around[:, :, None] * _AREA + np.arange(_AREA)
        table = cost_table(symbols, contexts, 6 * _AREA, _TABLED)
        symbols = rdoq(scaled, table, contexts, _PRICE, weights)
    return symbols


def _filled(plane: F32, sensitivity: F64) -> F64:
    """(H, W, R) with what no ray sees replaced by what its neighbours make of it: smooth, so that it costs few bits."""
    seen: npt.NDArray[np.bool_] = np.asarray((sensitivity > 0).any(2))
    out: F64 = np.where(seen[:, :, None], plane.astype(np.float64), 0.0)
    known = seen.astype(np.float64)
    for _ in range(_SMOOTHINGS):
        total: F64 = np.zeros(out.shape)
        count: F64 = np.zeros(known.shape)
        for axis in (0, 1):
            for shift in (1, -1):
                weight = _shifted(known, shift, axis)
                total += weight[:, :, None] * _shifted(out, shift, axis)
                count += weight
        fresh = ~seen & (count > 0)
        out[fresh] = total[fresh] / count[fresh][:, None]
        known[fresh] = 1
    return out


def _shifted(array: F64, shift: int, axis: int) -> F64:
    """Moved by one along an axis; what comes in from beyond is zero."""
    out = np.roll(array, shift, axis)
    edge: list[Any] = [slice(None)] * array.ndim
    edge[axis] = 0 if shift == 1 else -1
    out[tuple(edge)] = 0
    return out


def _split(plane: npt.NDArray[Any]) -> F64:
    """(H, W, R) to (R, B, 8, 8), row by row; the last rows and columns are repeated to whole blocks."""
    height, width, features = plane.shape
    rows, columns = -(-height // SIDE), -(-width // SIDE)
    whole = np.pad(plane, ((0, rows * SIDE - height), (0, columns * SIDE - width), (0, 0)), "edge")
    blocks = whole.reshape(rows, SIDE, columns, SIDE, features).transpose(4, 0, 2, 1, 3)
    return blocks.reshape(features, rows * columns, SIDE, SIDE).astype(np.float64)


def _joined(blocks: F64, size: tuple[int, ...]) -> F32:
    """The reverse, to (H, W, R)."""
    rows, columns = -(-size[0] // SIDE), -(-size[1] // SIDE)
    whole = blocks.reshape(-1, rows, columns, SIDE, SIDE).transpose(1, 3, 2, 4, 0)
    return np.ascontiguousarray(whole.reshape(rows * SIDE, columns * SIDE, -1)[: size[0], : size[1]], np.float32)


def _forward(blocks: F64) -> F64:
    return np.einsum("ky,rbyx,lx->rbkl", _WAVES, blocks, _WAVES, optimize=True)


def _inverse(blocks: F64) -> F64:
    """One product and one sum after the other, in this order."""
    half = np.zeros_like(blocks)
    for k in range(SIDE):
        half += _WAVES[k][:, None] * blocks[:, :, k : k + 1, :]
    out = np.zeros_like(blocks)
    for k in range(SIDE):
        out += half[:, :, :, k : k + 1] * _WAVES[k]
    return out


def encode(planes: Sequence[Blocks], sizes: Sequence[tuple[int, ...]]) -> dict[str, bytes]:
    """Streams "plane_steps", "lengths" and "coefficients". sizes: (H, W, R) of every plane."""
    steps, lengths, symbols = PlaneEncoder(_STEPS), PlaneEncoder(_LENGTHS), PlaneEncoder(_SYMBOLS)
    for number, (plane, size) in enumerate(zip(planes, sizes)):
        for which, exponents in enumerate((plane.steps, plane.factors)):
            changes = np.diff(exponents, prepend=0).astype(np.int32)
            steps.add(changes[:, None], _step_side(number, which, len(changes)))
        flat = plane.symbols.reshape(-1, _AREA).astype(np.int32)
        used = np.where(flat.any(1), _AREA - np.argmax(flat[:, ::-1] != 0, 1), 0).astype(np.int32)
        first, second, near = _side(number, plane.factors, size)
        lengths.add(used[:, None].astype(np.int32), Side(first=first, second=second, near=near))
        symbols.add(
            flat.astype(np.int32), Side(first=first, second=_busy(used), near=near, lengths=used.astype(np.int32))
        )
    return {"plane_steps": steps.finish(), "lengths": lengths.finish(), "coefficients": symbols.finish()}


def decode(streams: Mapping[str, bytes], sizes: Sequence[tuple[int, ...]]) -> list[Blocks]:
    """The reverse. Raises UnreadableError."""
    steps, lengths = PlaneDecoder(streams["plane_steps"], _STEPS), PlaneDecoder(streams["lengths"], _LENGTHS)
    symbols = PlaneDecoder(streams["coefficients"], _SYMBOLS)
    out = []
    for number, size in enumerate(sizes):
        pair = []
        for which, count in enumerate((size[2], _blocks(size))):
            exponents = np.cumsum(steps.take(count, _step_side(number, which, count))[:, 0].astype(np.int64))
            if exponents.size and not -1024 < exponents.min() <= exponents.max() < 1024:
                raise UnreadableError("a step of the planes is out of range: the file is corrupt")
            pair.append(exponents)
        first, second, near = _side(number, pair[1], size)
        used = lengths.take(len(first), Side(first=first, second=second, near=near))[:, 0]
        if used.size and used.max() > _AREA:
            raise UnreadableError("a block of the planes is too long: the file is corrupt")
        side = Side(first=first, second=_busy(used), near=near, lengths=used)
        flat = symbols.take(len(first), side).astype(np.int64)
        out.append(Blocks(flat.reshape(size[2], _blocks(size), _AREA), pair[0], pair[1]))
    for stream in (steps, lengths, symbols):
        stream.finish()
    return out


def _blocks(size: tuple[int, ...]) -> int:
    return -(-size[0] // SIDE) * -(-size[1] // SIDE)


def _step_side(number: int, which: int, count: int) -> Side:
    return Side(first=np.full(count, 2 * min(number, _PLANES - 1) + which, np.uint16))


def _busy(used: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Class of a block by how long it is."""
    return np.minimum((used + 3) // 4, 15).astype(np.uint16)


def _side(
    number: int, factors: I64, size: tuple[int, ...]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """Per block of every feature: the plane, its factor's class, and the blocks to the left, above, both, and of the
    feature before."""
    columns, count, features = -(-size[1] // SIDE), _blocks(size), size[2]
    index = np.arange(features * count, dtype=np.int64).reshape(features, count)
    block = np.arange(count)
    left, above = block % columns > 0, block >= columns
    near = np.stack(
        [
            np.where(left, index - 1, -1),
            np.where(above, index - columns, -1),
            np.where(left & above, index - columns - 1, -1),
            np.where(np.arange(features)[:, None] > 0, index - count, -1),
        ],
        -1,
    )
    first = np.full(index.size, min(number, _PLANES - 1), np.uint16)
    second = np.tile(np.clip(factors - _FACTORS[0], 0, 15), features).astype(np.uint16)
    return first, second, near.reshape(-1, 4).astype(np.int32)
