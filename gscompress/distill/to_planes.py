"""VM planes: TensoRF's parametrisation for bounded teachers; contracted, with exponential densities, for unbounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from gscompress.camera import Camera
from gscompress.distill.lessons import Lessons
from gscompress.distill.students import Student, layers, unbounded
from gscompress.field import Array, Field, Spec
from gscompress.kernels.plane_lookup import PLANES

_FEATURES = {"density": 8, "colour": 12}
_BASIS, _HIDDEN = 16, 48
_FREQUENCIES = (2, 0)  # of view and features
_SAMPLES = (64, 32)
_SPREAD = 0.1  # of initial values, as in TensoRF
_SMOOTH = 3e-3  # weight of squared differences between neighbours
_SMALL = 3e-5  # weight of magnitudes, as in TensoRF


class PlanesStudent(Student):
    kind: ClassVar[str] = "planes"
    side: ClassVar[int] = 256
    rate: ClassVar[float] = 2e-2

    def fresh(
        self, teacher: Field, taught: Lessons, cameras: Sequence[Camera], side: int, rng: np.random.Generator
    ) -> Field:
        geometry = _open(teacher) if unbounded(teacher) else _bounded(teacher, taught)
        low, high = (np.asarray(corner) for corner in geometry["box"])
        sizes = np.maximum(np.rint((high - low) / (high - low).prod() ** (1 / 3) * side).astype(int), 2)
        tensors: dict[str, Array] = {}
        for kind, features in _FEATURES.items():
            for k, (a, b, c) in enumerate(PLANES):
                plane = rng.normal(0, _SPREAD, (sizes[b], sizes[a], features))
                line = rng.normal(0, _SPREAD, (sizes[c], features)) + (1.0 if kind == "density" else 0.5)
                tensors[f"{kind}.plane.{k}"] = plane.astype(np.float32)
                tensors[f"{kind}.line.{k}"] = line.astype(np.float32)
        width = 3 * _FEATURES["colour"]
        tensors["basis.weight"] = layers(rng, "b", [width, _BASIS])["b.0.weight"]
        inputs = _BASIS + 3 + 6 * _FREQUENCIES[0] + 2 * _BASIS * _FREQUENCIES[1]
        tensors |= layers(rng, "head", [inputs, _HIDDEN, _HIDDEN, 3])
        return Field(tensors, Spec("planes", "planes" if unbounded(teacher) else "tensorf", geometry))

    def dues(self, step: int) -> Tensor:
        """Of one plane after the other, which is faster than a sixth of all of them every time."""
        planes = [tensor for name, tensor in self.model.tensors.items() if ".plane." in name]
        plane = planes[step % len(planes)]
        rough = plane.diff(dim=0).square().mean() + plane.diff(dim=1).square().mean()
        return len(planes) * (_SMOOTH * rough + _SMALL * plane.abs().mean())


def _open(teacher: Field) -> dict[str, Any]:
    kept = {key: teacher.spec.geometry[key] for key in ("world", "near", "far")}
    return {
        **kept,
        "box": [[-2.0] * 3, [2.0] * 3],
        "contraction": "inf",
        "samples": list(_SAMPLES),
        "ndc": False,
        "white": False,
        "step": 0.5,
        "shift": -1.0,
        "scale": 1.0,
        "faint": 1e-4,
        "activation": "exp",
        "shading": "MLP_Fea",
        "frequencies": list(_FREQUENCIES),
    }


def _bounded(teacher: Field, taught: Lessons) -> dict[str, Any]:
    low, high = taught.spans
    return {
        "box": [low.tolist(), high.tolist()],
        "near": taught.near,
        "far": taught.far,
        "ndc": False,
        "white": bool(teacher.spec.geometry.get("white", False)),
        "step": 0.5,
        "shift": -5.0,  # half as deep as TensoRF starts: the points teach where nothing is
        "scale": 75.0 / float((high - low).mean()),  # TensoRF's 25 for boxes of three units
        "faint": 1e-4,
        "activation": "softplus",
        "shading": "MLP_Fea",
        "frequencies": list(_FREQUENCIES),
    }
