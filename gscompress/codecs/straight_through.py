"""Training with codebooks in the loop: pictures show the codes, gradients go straight through to the values behind.

Navaneet et al. 2024, "CompGS" (Compact3D): k-means on DC, higher SH, scales and rotations while training, codes moved
to the mean of their members after every update, members reassigned now and then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gscompress.codecs.clusters import cluster, sum_rows
from gscompress.codecs.code_tables import on_grid
from gscompress.quant.vector import Codebook, assign
from gscompress.scene import Scene, Splats
from gscompress.tune.splat_model import Rates, SplatModel

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


def columns_of(splats: Splats) -> dict[str, F32]:
    """The attributes that codebooks hold, (N, D) each; "sh" only where there are higher coefficients."""
    n = len(splats)
    columns = {"dc": splats.sh[:, 0], "scale": splats.log_scales, "rotation": splats.quats}
    if splats.sh_degree:
        columns["sh"] = splats.sh[:, 1:].reshape(n, 3 * (splats.sh.shape[1] - 1))
    return columns


def with_columns(splats: Splats, columns: Mapping[str, F32]) -> Splats:
    """``splats`` with some of ``columns_of`` replaced."""
    sh = np.empty_like(splats.sh)
    sh[:, 0] = columns.get("dc", splats.sh[:, 0])
    higher = columns.get("sh")
    sh[:, 1:] = splats.sh[:, 1:] if higher is None else higher.reshape(sh[:, 1:].shape)
    scales, quats = columns.get("scale", splats.log_scales), columns.get("rotation", splats.quats)
    return replace(splats, sh=sh, log_scales=scales, quats=quats)


class Faint:
    """A ``Model`` that also pays for opacity: price times the mean opacity joins the loss."""

    def __init__(self, scene: Scene, rates: Rates, price: float) -> None:
        self._model, self._price = SplatModel(scene, rates), price

    def scene(self) -> Scene:
        return self._model.scene()

    def step(self, gradients: Gradients, rate: float) -> None:
        opacity = 1 / (1 + np.exp(-self._model.scene().splats.logit_opacities))
        slope = (self._price / len(opacity) * opacity * (1 - opacity)).astype(np.float32)
        self._model.step(replace(gradients, logit_opacities=gradients.logit_opacities + slope), rate)


class Clustered:
    """A ``Model`` whose pictures show codes. codes, indices: per attribute (K, D) and (N,), as of the last update.

    sizes: most codes of each attribute. every: updates between two assignments, until ``freeze`` ends them.
    """

    def __init__(self, scene: Scene, rates: Rates, sizes: Mapping[str, int], every: int, seed: int) -> None:
        self._model, self._every, self._updates, self._frozen = SplatModel(scene, rates), every, 0, False
        columns = columns_of(scene.splats)
        self.codes, self.indices = dict[str, F32](), dict[str, I64]()
        for name, size in sizes.items():
            if name in columns:
                self.codes[name], self.indices[name] = cluster(columns[name], size, seed)

    def scene(self) -> Scene:
        """With every attribute from its codebook, on the grid that is stored."""
        scene = self._model.scene()
        shown = {name: on_grid(codes, name)[self.indices[name]] for name, codes in self.codes.items()}
        return replace(scene, splats=with_columns(scene.splats, shown))

    def freeze(self) -> None:
        """Assign once more, then keep assignments: only codes, positions and opacities move from here on."""
        self._assign(columns_of(self._model.scene().splats))
        self._frozen = True

    def step(self, gradients: Gradients, rate: float) -> None:
        self._model.step(gradients, rate)
        self._updates += 1
        columns = columns_of(self._model.scene().splats)
        if self._updates % self._every == 0 and not self._frozen:
            self._assign(columns)
        for name, codes in self.codes.items():
            counts = np.bincount(self.indices[name], minlength=len(codes))[:, None]
            means = sum_rows(columns[name], self.indices[name], len(codes)) / np.maximum(counts, 1)
            self.codes[name] = np.where(counts > 0, means, codes).astype(np.float32)

    def _assign(self, columns: Mapping[str, F32]) -> None:
        for name, codes in self.codes.items():
            self.indices[name] = assign(columns[name], Codebook(codes))
