"""What QUEEN tunes per frame: integer latents behind small decoders, and gated shifts of positions.

Gradients pass rounding straight through. A gate is a hard-concrete variable (Louizos, Welling, Kingma 2018) while
tuning: z = clamp(sigmoid((ln u - ln(1 - u) + ln a) / T) (E - G) + G, 0, 1) with uniform u, punished by the
probability that it is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gscompress.scene import Scene
from gscompress.stream.state import State, luma_chroma
from gscompress.tune.adam import SparseAdam

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
LATENTS = {"quats": 6, "t": 3, "widened": 8, "colour": 8, "sh": 4}
"""Attribute → latents per Gaussian, as in the paper's configuration (scales, opacity and colour in our domains)."""
LARGEST = 1 << 22
TEMPERATURE, GAMMA, ETA = 0.3, -0.5, 1.01
_GATE_RATE, _SHIFT_RATE, _LATENT_RATE, _DECODER_RATE = 0.02, 0.005, 0.005, 3e-4
_FRESH = 1e-3  # spread of a decoder's rows that the start leaves free, in steps


class Latents:
    """(N, L) latents in steps and their decoder (L, C) for one attribute."""

    def __init__(self, difference: F64, count: int, step: float, rng: np.random.Generator) -> None:
        """The start explains the matched difference (N, C) as well as ``count`` latents can, in steps of ``step``."""
        columns = difference.shape[1]
        used = min(count, columns)
        _, vectors = np.linalg.eigh(difference.T @ difference)
        decoder = _FRESH * step * rng.standard_normal((count, columns))
        decoder[:used] = step * vectors[:, ::-1].T[:used]
        latents = np.zeros((len(difference), count))
        latents[:, :used] = difference @ vectors[:, ::-1][:, :used] / step
        self._latents = SparseAdam(latents.astype(np.float32))
        self._decoder = SparseAdam(decoder.astype(np.float32))
        self._step = step

    @property
    def symbols(self) -> I64:
        return np.floor(np.clip(self._latents.parameter.astype(np.float64), -LARGEST, LARGEST) + 0.5).astype(np.int64)

    @property
    def decoder(self) -> F32:
        return self._decoder.parameter

    def update(self, gradient: F64, seen: npt.NDArray[np.bool_], rate: float) -> None:
        """Pull the attribute's gradient (N, C) back."""
        symbols, decoder = self.symbols, self.decoder
        self._latents.step(gradient @ decoder.T, seen, _LATENT_RATE * rate)
        every = np.ones(len(decoder), np.bool_)
        self._decoder.step(symbols.T @ gradient, every, _DECODER_RATE * self._step * rate)


class QueenModel:
    """A ``tune.loop.Model``: the frame before plus decoded latents plus gated shifts."""

    def __init__(
        self, state: State, goal: Mapping[str, F64], likely: F64, step: Mapping[str, float], lasso: float, seed: int
    ) -> None:
        """goal: attribute → matched values. likely: (N,) how likely a row is to move, 0 to 1. step: per attribute;
        lasso: what an open gate costs, in mean squared error."""
        self._state, self._rng, self._lasso = state, np.random.default_rng(seed), lasso
        self.latents: dict[str, Latents] = {}
        for name, count in LATENTS.items():
            now = columns_of(state, name)
            if now.shape[1]:
                self.latents[name] = Latents(goal[name] - now, count, step[name], self._rng)
        unit = float(np.median(state.grain)) if len(state) else 1.0
        self._unit = unit
        odds = np.clip(likely, 0.01, 0.99)
        self._gate = SparseAdam(np.log(odds / (1 - odds))[:, None].astype(np.float32))
        matched = (goal["means"] - state.means) / unit / np.maximum(self.gates(), 0.25)[:, None]
        self._shift = SparseAdam(matched.astype(np.float32))
        self._open = self._slope = np.zeros(len(state))

    def gates(self) -> F64:
        """(N,) without noise, as the file will have them."""
        return np.clip(_sigmoid(self._gate.parameter[:, 0].astype(np.float64)) * (ETA - GAMMA) + GAMMA, 0.0, 1.0)

    def shifts(self) -> F32:
        """(N, 3) scene units, before the gates."""
        return self._shift.parameter * np.float32(self._unit)

    def scene(self) -> Scene:
        """With this step's draw of the gates."""
        u = self._rng.uniform(1e-6, 1 - 1e-6, len(self._state))
        s = _sigmoid((np.log(u) - np.log(1 - u) + self._gate.parameter[:, 0]) / TEMPERATURE)
        stretched = s * (ETA - GAMMA) + GAMMA
        self._open = np.clip(stretched, 0.0, 1.0)
        inside = (stretched > 0) & (stretched < 1)
        self._slope = np.where(inside, s * (1 - s) * (ETA - GAMMA) / TEMPERATURE, 0.0)
        values = {name: (latents.symbols, latents.decoder) for name, latents in self.latents.items()}
        return changed(self._state, values, self._open[:, None] * self.shifts()).scene()

    def step(self, gradients: Gradients, rate: float) -> None:
        state, seen = self._state, gradients.contribution > 0
        opacity = np.exp(-np.clip(state.t, 1e-4, 60))
        blur = state.shared.steps.blur
        wide = np.exp(2 * state.widened)
        pulled = {
            "quats": gradients.quats.astype(np.float64),
            "t": -gradients.logit_opacities[:, None] / np.maximum(1 - opacity, 1e-4)[:, None],
            "widened": gradients.log_scales * wide / np.maximum(wide - blur * blur, 0.04 * blur * blur),
            "colour": luma_chroma(gradients.sh[:, 0]),  # orthonormal axes: gradients turn like values
            "sh": gradients.sh[:, 1:].reshape(len(seen), gradients.sh.shape[1] * 3 - 3).astype(np.float64),
        }
        for name, latents in self.latents.items():
            latents.update(pulled[name], seen, rate)
        means, shift = gradients.means.astype(np.float64), self.shifts()
        self._shift.step(self._open[:, None] * means * self._unit, seen, _SHIFT_RATE * rate)
        # d of P(open) = sigmoid(ln a - T ln(-G / E)), the mean over all rows.
        p = _sigmoid(self._gate.parameter[:, 0] - TEMPERATURE * np.log(-GAMMA / ETA))
        gate = (means * shift).sum(1) * self._slope + self._lasso * p * (1 - p) / max(len(p), 1)
        self._gate.step(gate[:, None], np.ones(len(p), np.bool_), _GATE_RATE * rate)


def columns_of(state: State, name: str) -> F64:
    """An attribute as (N, C) float64."""
    values = np.asarray(getattr(state, name), np.float64)
    return values[:, None] if values.ndim == 1 else values


def changed(state: State, latents: Mapping[str, tuple[I64, F32]], shift: npt.NDArray[np.floating]) -> State:
    """Every attribute plus its decoded latents (symbols (N, L), decoder (L, C)), means plus shift (N, 3).

    Sums run latent by latent, so that every machine gets the same bits.
    """
    new: dict[str, npt.NDArray[np.floating]] = {"means": state.means + shift}
    for name, (symbols, decoder) in latents.items():
        values = columns_of(state, name).copy()
        for k in range(symbols.shape[1]):
            if symbols[:, k].any():
                values += symbols[:, k, None] * decoder[k].astype(np.float64)
        new[name] = values
    if "quats" in new:
        q = new["quats"]
        squares = q * q
        length = np.sqrt(squares[:, 0] + squares[:, 1] + squares[:, 2] + squares[:, 3])
        new["quats"] = np.where(length[:, None] > 1e-12, q / np.maximum(length, 1e-12)[:, None], [1.0, 0, 0, 0])
    if "t" in new:
        new["t"] = np.clip(new["t"][:, 0], 0.0, 60.0)
    if "widened" in new:
        new["widened"] = np.clip(new["widened"], -60.0, 60.0)
    if "sh" in new:
        new["sh"] = new["sh"].astype(np.float32)
    return replace(state, **new)  # type: ignore[arg-type]


def _sigmoid(x: npt.NDArray[np.floating]) -> F64:
    return 1 / (1 + np.exp(-np.clip(x.astype(np.float64), -40, 40)))
