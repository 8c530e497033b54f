"""Plain NeRF MLPs: a coarse and a fine network, both taught at points and by pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from gscompress.camera import Camera
from gscompress.distill.lessons import Lessons
from gscompress.distill.students import Student, layer, layers, unbounded
from gscompress.field import Array, Field, Spec
from gscompress.renderers.field_mlp import MlpModel
from gscompress.renderers.volume_math import Rays

_FREQUENCIES = (10, 4)
_WIDTH, _LAYERS = 128, 4
_SAMPLES = (48, 48)


class MlpStudent(Student):
    kind: ClassVar[str] = "mlp"
    net_rate: ClassVar[float] = 1e-3

    def fresh(
        self, teacher: Field, taught: Lessons, cameras: Sequence[Camera], side: int, rng: np.random.Generator
    ) -> Field:
        position, direction = (3 + 6 * n for n in _FREQUENCIES)
        tensors: dict[str, Array] = {}
        for net in ("coarse", "fine"):
            tensors |= layers(rng, f"{net}.trunk", [position, *[_WIDTH] * _LAYERS])
            tensors |= layer(rng, f"{net}.density", _WIDTH, 1) | layer(rng, f"{net}.feature", _WIDTH, _WIDTH)
            tensors |= layers(rng, f"{net}.colour", [_WIDTH + direction, _WIDTH // 2])
            tensors |= layer(rng, f"{net}.rgb", _WIDTH // 2, 3)
            tensors[f"{net}.density.bias"] += 0.5  # a ReLU that starts at zero everywhere never learns
        geometry = {
            "networks": ["coarse", "fine"],
            "frequencies": list(_FREQUENCIES),
            "skips": [],
            "views": True,
            "first_relu": False,
            "feature_relu": True,
            "skip_first": False,
            "near": taught.near,
            "far": taught.far,
            "ndc": False,
            "white": bool(teacher.spec.geometry.get("white", False)),
            "samples": list(_SAMPLES),
            "disparity": unbounded(teacher),
        }
        return Field(tensors, Spec("mlp", "nerf-pytorch", geometry))

    def answers(self, points: Tensor, views: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        assert isinstance(self.model, MlpModel)
        for net in ("coarse", "fine"):
            yield self.model.ask_net(net, points, views)

    def seen(self, rays: Rays, colours: Tensor, jitter: torch.Generator) -> Tensor:
        traced = self.model.trace(rays, jitter)
        back = (1 - traced.alpha[:, None]) * float(self.model.white)
        assert traced.guide is not None
        return ((traced.rgb + back - colours) ** 2).mean() + ((traced.guide + back - colours) ** 2).mean()
