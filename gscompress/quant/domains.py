"""Maps from stored attributes to the domain in which steps are uniform, and back.

Every map is a frozen dataclass with ``forward``, ``inverse`` and ``slope`` (du/dx). Sensitivities follow the chain
rule: h_u = h_x / slope^2, so allocation stays in picture error whatever the domain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


class Domain(Protocol):
    """An invertible, elementwise map of real numbers."""

    def forward(self, x: Array) -> F64: ...

    def inverse(self, u: Array) -> F64: ...

    def slope(self, x: Array) -> F64: ...


def pull_back(domain: Domain, x: Array, sensitivity: Array) -> F64:
    """Sensitivity per squared unit of u at x (same shapes), given the one per squared unit of x."""
    return np.asarray(sensitivity, np.float64) / domain.slope(x) ** 2


@dataclass(frozen=True)
class Log:
    """Positive x to ln x: equal relative error (scales)."""

    def forward(self, x: Array) -> F64:
        return np.log(np.asarray(x, np.float64))

    def inverse(self, u: Array) -> F64:
        return np.exp(np.asarray(u, np.float64))

    def slope(self, x: Array) -> F64:
        return 1.0 / np.asarray(x, np.float64)


@dataclass(frozen=True)
class Logit:
    """x in (0, 1) to ln(x / (1 - x)) (opacities)."""

    def forward(self, x: Array) -> F64:
        x = np.asarray(x, np.float64)
        return np.log(x) - np.log1p(-x)

    def inverse(self, u: Array) -> F64:
        return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(u, np.float64)))

    def slope(self, x: Array) -> F64:
        x = np.asarray(x, np.float64)
        return 1.0 / (x * (1.0 - x))


@dataclass(frozen=True)
class Power:
    """sign(x) |x|^exponent, 0 < exponent <= 1: levels gather near zero (Yvinec et al., "NUPES", 2023)."""

    exponent: float

    def forward(self, x: Array) -> F64:
        x = np.asarray(x, np.float64)
        return np.sign(x) * np.abs(x) ** self.exponent

    def inverse(self, u: Array) -> F64:
        u = np.asarray(u, np.float64)
        return np.sign(u) * np.abs(u) ** (1.0 / self.exponent)

    def slope(self, x: Array) -> F64:
        """Infinite at zero when exponent < 1."""
        with np.errstate(divide="ignore"):
            return self.exponent * np.abs(np.asarray(x, np.float64)) ** (self.exponent - 1.0)


@dataclass(frozen=True)
class Asinh:
    """asinh(x / scale): linear inside ``scale``, logarithmic outside (coordinates of unbounded scenes)."""

    scale: float = 1.0

    def forward(self, x: Array) -> F64:
        return np.arcsinh(np.asarray(x, np.float64) / self.scale)

    def inverse(self, u: Array) -> F64:
        return self.scale * np.sinh(np.asarray(u, np.float64))

    def slope(self, x: Array) -> F64:
        return 1.0 / np.hypot(self.scale, np.asarray(x, np.float64))


@dataclass(frozen=True)
class SymmetricLog:
    """sign(x) ln(1 + |x|), the map that SOG applies to positions."""

    def forward(self, x: Array) -> F64:
        x = np.asarray(x, np.float64)
        return np.sign(x) * np.log1p(np.abs(x))

    def inverse(self, u: Array) -> F64:
        u = np.asarray(u, np.float64)
        return np.sign(u) * np.expm1(np.abs(u))

    def slope(self, x: Array) -> F64:
        return 1.0 / (1.0 + np.abs(np.asarray(x, np.float64)))


@dataclass(frozen=True)
class Contraction:
    """Space into the ball of radius 2: p = (x - centre) / radius stays if |p| <= 1, else (2 - 1/|p|) p/|p|.

    Barron et al., "Mip-NeRF 360" (2022). Works on (..., 3) points, not elementwise; ``slope`` is the tangential one,
    |u|/|p| over the radius (the radial one is its square or less).
    """

    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    radius: float = 1.0

    def forward(self, x: Array) -> F64:
        p = self._local(x)
        length = np.maximum(np.linalg.norm(p, axis=-1, keepdims=True), 1.0)
        return p * (2.0 - 1.0 / length) / length

    def inverse(self, u: Array) -> F64:
        u = np.asarray(u, np.float64)
        length = np.linalg.norm(u, axis=-1, keepdims=True)
        inside = np.minimum(length, 2.0 - 1e-12)
        stretch = np.where(length <= 1.0, 1.0, 1.0 / ((2.0 - inside) * np.maximum(inside, 1.0)))
        return u * stretch * self.radius + np.asarray(self.centre)

    def slope(self, x: Array) -> F64:
        """(..., 1)."""
        length = np.maximum(np.linalg.norm(self._local(x), axis=-1, keepdims=True), 1.0)
        return (2.0 - 1.0 / length) / length / self.radius

    def _local(self, x: Array) -> F64:
        return (np.asarray(x, np.float64) - np.asarray(self.centre)) / self.radius
