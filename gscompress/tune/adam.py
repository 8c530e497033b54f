"""Adam on numpy arrays, touching only the rows that a view has seen."""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
_BETA1, _BETA2, _EPSILON = 0.9, 0.99, 1e-15


class SparseAdam:
    """State for one (N, ...) parameter. Rows with no gradient keep value, moments and age (Kingma and Ba 2015, per
    row)."""

    def __init__(self, parameter: F32) -> None:
        self.value = np.ascontiguousarray(parameter.reshape(len(parameter), math.prod(parameter.shape[1:]))).copy()
        self._first = np.zeros_like(self.value)
        self._second = np.zeros_like(self.value)
        self._age = np.zeros(len(parameter), np.int64)
        self._shape = parameter.shape

    def step(self, gradient: npt.NDArray[Any], seen: npt.NDArray[np.bool_], rate: float) -> None:
        """One update of the rows in ``seen`` (N,) with learning rate ``rate``, in the parameter's unit."""
        flat = np.ascontiguousarray(gradient.reshape(self.value.shape), np.float32)
        _step(self.value, flat, self._first, self._second, self._age, seen, rate)

    def rearrange(self, rows: npt.NDArray[np.int64], fresh: npt.NDArray[np.bool_]) -> None:
        """Make row i what row ``rows[i]`` is, with its moments and age unless ``fresh[i]``."""
        self.value, self._first, self._second = (table[rows] for table in (self.value, self._first, self._second))
        self._age = self._age[rows]
        self._first[fresh], self._second[fresh], self._age[fresh] = 0, 0, 0
        self._shape = (len(rows), *self._shape[1:])

    @property
    def parameter(self) -> F32:
        return self.value.reshape(self._shape)


@nb.njit(cache=True, nogil=True, fastmath=True)
def _step(
    value: F32,
    gradient: F32,
    first: F32,
    second: F32,
    age: npt.NDArray[np.int64],
    seen: npt.NDArray[np.bool_],
    rate: float,
) -> None:
    for i in range(value.shape[0]):
        if not seen[i]:
            continue
        age[i] += 1
        unbias1 = 1.0 - _BETA1 ** age[i]
        unbias2 = 1.0 - _BETA2 ** age[i]
        for k in range(value.shape[1]):
            g = gradient[i, k]
            m = _BETA1 * first[i, k] + (1.0 - _BETA1) * g
            v = _BETA2 * second[i, k] + (1.0 - _BETA2) * g * g
            first[i, k], second[i, k] = m, v
            value[i, k] -= rate * (m / unbias1) / (np.sqrt(v / unbias2) + _EPSILON)
