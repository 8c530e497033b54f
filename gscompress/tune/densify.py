"""Classic density control (Kerbl et al. 2023): clone small and split large Gaussians that pictures pull at, drop faint
ones, and now and then make all faint, so that only those come back that are needed.
"""

from __future__ import annotations

import numpy as np

from gscompress.frame import quat_to_matrix
from gscompress.tune.growing import GrowingModel

FAINT = 0.005
RESET_TO = 0.01
THRESHOLD = 2e-4  # mean gradient with respect to the projected centre, half a picture being one unit
SMALL = 0.01  # of the extent of the cameras: what is larger is split
SPLIT_BY = np.log(1.6)
_RECOVERY = 500  # updates between resets, at least


class Densify:
    """What happens between updates. budget: most Gaussians. pixels: width of the pictures. extent: of the cameras.

    From 2 % to 50 % of ``steps``; opacities are reset every 15 %, but not in runs too short to recover from that.
    """

    def __init__(self, model: GrowingModel, budget: int, steps: int, pixels: float, extent: float, seed: int) -> None:
        self._model, self._budget, self._steps = model, budget, steps
        self._threshold, self._small = THRESHOLD / (pixels / 2), SMALL * extent
        self._interval = min(100, max(10, steps // 100))
        self._reset = max(_RECOVERY, round(0.15 * steps))
        self._rng = np.random.default_rng(seed)

    def __call__(self, done: int) -> None:
        """After update number ``done``."""
        if not 0.02 < done / self._steps <= 0.5:
            return
        if done % self._interval == 0:
            self._grow()
        if done % self._reset == 0:
            logits = self._model.value("logit_opacities")
            np.minimum(logits, np.log(RESET_TO / (1 - RESET_TO)), out=logits)
            self._model.rearrange(np.arange(len(logits)), np.ones(len(logits), np.bool_))

    def _grow(self) -> None:
        model = self._model
        pull = model.pulled / np.maximum(model.views, 1)
        wanted = np.flatnonzero(pull >= self._threshold)
        room = self._budget - len(model)
        if len(wanted) > max(room, 0):
            wanted = np.sort(wanted[np.argsort(-pull[wanted], kind="stable")[: max(room, 0)]])
        large = np.exp(model.value("log_scales").max(1)) > self._small
        split = wanted[large[wanted]]
        stays = np.flatnonzero(model.opacities() > FAINT)
        rows = np.concatenate([stays, wanted])
        fresh = np.arange(len(rows)) >= len(stays)
        divided = np.isin(rows, split)
        model.rearrange(rows, fresh | divided)
        self._scatter(np.flatnonzero(divided))

    def _scatter(self, rows: np.ndarray) -> None:
        """Draw both halves of split Gaussians from the Gaussian they come from, smaller."""
        model = self._model
        turn = quat_to_matrix(model.value("quats")[rows])
        away = self._rng.normal(size=(len(rows), 3)) * np.exp(model.value("log_scales")[rows])
        model.value("means")[rows] += (turn @ away[:, :, None])[:, :, 0].astype(np.float32)
        model.value("log_scales")[rows] -= np.float32(SPLIT_BY)
