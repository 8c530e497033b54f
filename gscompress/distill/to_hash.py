"""Hash grids of nerfacto's kind, with a proposal network that is taught the grid's own densities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from gscompress.camera import Camera
from gscompress.distill.lessons import Lessons
from gscompress.distill.students import Student, unbounded
from gscompress.field import Field
from gscompress.field_training import Plan
from gscompress.field_training import fresh as fresh_grid
from gscompress.renderers.field_hash import proposal_loss
from gscompress.renderers.field_points import HashPoints
from gscompress.renderers.volume_math import Rays


class HashStudent(Student):
    kind: ClassVar[str] = "hash_grid"
    net_rate: ClassVar[float] = 1e-2

    def fresh(
        self, teacher: Field, taught: Lessons, cameras: Sequence[Camera], side: int, rng: np.random.Generator
    ) -> Field:
        field = fresh_grid(cameras, Plan(seed=int(rng.integers(1 << 31))))
        if unbounded(teacher):
            world = np.asarray(teacher.spec.geometry["world"])
        else:
            centre, half = taught.spans.mean(0), float(np.diff(taught.spans, axis=0).max() / 2)
            world = np.concatenate([np.eye(3) / half, -centre[:, None] / half], 1)
        return replace(field, spec=replace(field.spec, geometry={**field.spec.geometry, "world": world.tolist()}))

    def answers(self, points: Tensor, views: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        assert isinstance(self.model, HashPoints)
        yield self.model.ask(points, views)
        for density in self.model.ask_proposals(points):
            yield density, None

    def seen(self, rays: Rays, colours: Tensor, jitter: torch.Generator) -> Tensor:
        assert isinstance(self.model, HashPoints)
        traced, history = self.model.trace_with_proposals(rays, jitter)
        return ((traced.rgb - colours) ** 2).mean() + proposal_loss(history)
