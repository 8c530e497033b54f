"""One optimiser step of a table that will be rounded and entropy-coded: Adam with a price on bits, in one pass.

What a symbol costs is taken from a table of bits by level and magnitude, straight between whole numbers, so that its
slope is known everywhere: a value is pulled to zero by what the next smaller symbol would save.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-15


class RateAdam:
    """Optimises ``values`` (rows, F) in place. starts, sizes: (L,) rows of every level; steps: (L,) of its symbols.

    Values that are zero at the beginning stay zero: pruning is for good.
    """

    def __init__(self, values: F32, starts: I64, sizes: I64, steps: F32, largest: int = 15) -> None:
        self.values, self._first, self._second = values, np.zeros_like(values), np.zeros_like(values)
        self._starts, self._sizes, self._steps = starts, sizes, steps
        self.rounded = np.empty_like(values)
        self.counts = np.zeros((len(steps), largest + 1), np.int64)
        self._dead = values == 0
        self._age = 0
        self._walk(np.zeros_like(values), 0.0, 0.0)

    def step(self, gradient: F32, rate: float, price: float) -> None:
        """One update; ``rounded`` and ``counts`` follow. price: of a bit, in units of the loss."""
        self._age += 1
        self._walk(gradient, rate, price)

    def slopes(self) -> F32:
        """(L, K + 1) bits that symbol k + 1 costs more than k, from the symbols' present frequencies."""
        alive = self.counts.astype(np.float64)
        smooth = alive + 0.5 * 0.5 ** np.arange(alive.shape[1])
        smooth[:, 1:] *= 0.5  # signs
        bits = np.log2(smooth.sum(1, keepdims=True) / smooth)
        return np.maximum(np.diff(bits, append=bits[:, -1:] + 0.5), 0.1).astype(np.float32)

    def _walk(self, gradient: F32, rate: float, price: float) -> None:
        slopes = self.slopes() if self._age else np.zeros(self.counts.shape, np.float32)
        unbias = 1 - _BETA1 ** max(self._age, 1), 1 - _BETA2 ** max(self._age, 1)
        _update(
            *(self.values, gradient, self._first, self._second, self.rounded, self._dead),
            *(self.counts, slopes, self._starts, self._sizes, self._steps, rate / unbias[0], 1 / unbias[1], price),
        )


@nb.njit(cache=True, nogil=True)
def _update(
    values: F32,
    gradient: F32,
    first: F32,
    second: F32,
    rounded: F32,
    dead: npt.NDArray[np.bool_],
    counts: I64,
    slopes: F32,
    starts: I64,
    sizes: I64,
    steps: F32,
    rate: float,
    unbias: float,
    price: float,
) -> None:
    b1, b2, speed, scale = np.float32(_BETA1), np.float32(_BETA2), np.float32(rate), np.float32(unbias)
    one, epsilon, largest = np.float32(1), np.float32(_EPSILON), counts.shape[1] - 1
    counts[:] = 0
    for level in range(len(starts)):
        step = steps[level]
        inverse, charge = one / step, np.float32(price) / step
        for i in range(starts[level], starts[level] + sizes[level]):
            for f in range(values.shape[1]):
                if dead[i, f]:
                    counts[level, 0] += 1
                    rounded[i, f] = 0
                    continue
                x = values[i, f]
                if rate:
                    g = gradient[i, f]
                    pull = charge * slopes[level, min(np.int64(abs(x) * inverse), largest)]
                    whole = g + (pull if x > 0 else -pull if x < 0 else np.float32(0))
                    first[i, f] = b1 * first[i, f] + (one - b1) * whole
                    second[i, f] = b2 * second[i, f] + (one - b2) * whole * whole
                    moved = x - speed * first[i, f] / (np.sqrt(second[i, f] * scale) + epsilon)
                    if g == 0 and moved * x < 0:
                        moved = np.float32(0)
                    x = moved
                    values[i, f] = x
                symbol = np.rint(x * inverse)
                counts[level, min(np.int64(abs(symbol)), largest)] += 1
                rounded[i, f] = symbol * step
