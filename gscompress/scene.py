"""The nouns: Splats (structure of arrays) and Scene (splats with axes, model and metadata)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gscompress.errors import UsageError
from gscompress.frame import RDF, Frame, rotate_quats
from gscompress.sh import degree_of, rotate_sh

F32 = npt.NDArray[np.float32]
Model = Literal["3dgs", "mip", "2dgs"]


@dataclass(frozen=True, slots=True)
class Splats:
    """N Gaussians, stored as trained (before any activation). Row i is one Gaussian; arrays are never mutated.

    means: (N, 3) float32, scene units.
    log_scales: (N, 3) float32, natural log of the standard deviation in scene units.
    quats: (N, 4) float32, wxyz; readers keep the file's length, consumers normalise.
    logit_opacities: (N,) float32, opacity = 1 / (1 + exp(-x)).
    sh: (N, K, 3) float32, K = (degree + 1)^2 in {1, 4, 9, 16}; sh[:, 0] is DC; 3DGS basis and sign.
    extras: further per-Gaussian columns that the source file had, (N,) or (N, C), any dtype.
    """

    means: F32
    log_scales: F32
    quats: F32
    logit_opacities: F32
    sh: F32
    extras: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.means)
        bands = self.sh.shape[1] if self.sh.ndim == 3 else 0
        expected = {
            "means": (n, 3),
            "log_scales": (n, 3),
            "quats": (n, 4),
            "logit_opacities": (n,),
            "sh": (n, bands, 3),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise UsageError(f"splats.{name} is {array.dtype}{array.shape}, expected float32{shape}")
        if bands not in (1, 4, 9, 16):
            raise UsageError(f"splats.sh is {self.sh.shape}, expected (N, 1|4|9|16, 3)")
        for name, array in self.extras.items():
            if len(array) != n:
                raise UsageError(f"splats.extras[{name!r}] has {len(array)} rows, expected {n}")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        """0 to 3."""
        return degree_of(self.sh.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of the five float32 attributes in memory."""
        return sum(a.nbytes for a in (self.means, self.log_scales, self.quats, self.logit_opacities, self.sh))

    def take(self, rows: npt.NDArray[Any] | slice) -> Splats:
        """The Gaussians at ``rows`` (indices, mask or slice), in that order."""
        return Splats(
            self.means[rows],
            self.log_scales[rows],
            self.quats[rows],
            self.logit_opacities[rows],
            self.sh[rows],
            {name: array[rows] for name, array in self.extras.items()},
        )

    @staticmethod
    def joined(parts: Sequence[Splats]) -> Splats:
        """One after the other, without extras; at least one, all of one SH degree."""
        return Splats(
            np.concatenate([part.means for part in parts]),
            np.concatenate([part.log_scales for part in parts]),
            np.concatenate([part.quats for part in parts]),
            np.concatenate([part.logit_opacities for part in parts]),
            np.concatenate([part.sh for part in parts]),
        )

    def with_sh_degree(self, degree: int) -> Splats:
        """Cut or zero-pad the SH coefficients to ``degree`` (0 to 3)."""
        bands = (degree + 1) ** 2
        sh = np.zeros((len(self), bands, 3), np.float32)
        shared = min(bands, self.sh.shape[1])
        sh[:, :shared] = self.sh[:, :shared]
        return replace(self, sh=sh)


@dataclass(frozen=True, slots=True)
class Scene:
    """Splats and what is needed to interpret them.

    frame: what +x, +y and +z mean (COLMAP's right-down-forward unless the file says otherwise).
    model: "3dgs" (0.3 px dilation), "mip" (dilation with opacity compensation) or "2dgs" (flat discs).
    meta: JSON-able facts that travel with the scene (source format, comments, attribution …).
    """

    splats: Splats
    frame: Frame = RDF
    model: Model = "3dgs"
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.splats)

    def in_frame(self, frame: Frame) -> Scene:
        """The same scene expressed in other axes (positions, rotations and SH are turned)."""
        if frame == self.frame:
            return self
        matrix = self.frame.matrix_to(frame)
        s = self.splats
        turned = replace(
            s,
            means=(s.means @ matrix.T.astype(np.float32)).astype(np.float32),
            quats=rotate_quats(s.quats, matrix),
            sh=rotate_sh(s.sh, matrix),
        )
        return replace(self, splats=turned, frame=frame)
