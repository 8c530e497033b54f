"""A field in training: how it is asked, what it is charged, and one class per kind of field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from gscompress.camera import Camera
from gscompress.distill import STUDENTS
from gscompress.distill.lessons import Lessons
from gscompress.errors import UsageError
from gscompress.field import Array, Field
from gscompress.renderers.field_model import FieldModel
from gscompress.renderers.field_points import asked
from gscompress.renderers.volume_math import Rays


class Student(ABC):
    """side: samples along an axis unless told otherwise. rate: of learning features, net_rate: of networks."""

    kind: ClassVar[str]
    side: ClassVar[int] = 128
    rate: ClassVar[float] = 1e-2
    net_rate: ClassVar[float] = 3e-3

    def __init__(self, teacher: Field, taught: Lessons, cameras: Sequence[Camera], side: int | None, seed: int) -> None:
        self.field = self.fresh(teacher, taught, cameras, side or self.side, np.random.default_rng(seed))
        self.model: FieldModel = asked(self.field)
        self.model.require_gradients()

    @abstractmethod
    def fresh(
        self, teacher: Field, taught: Lessons, cameras: Sequence[Camera], side: int, rng: np.random.Generator
    ) -> Field:
        """The field before it has learnt anything."""

    def groups(self) -> list[dict[str, Any]]:
        """Parameters with their learning rates, for Adam."""
        floats = {n: t for n, t in self.model.tensors.items() if t.requires_grad}
        net = [t for n, t in floats.items() if n.endswith((".weight", ".bias"))]
        features = [t for n, t in floats.items() if not n.endswith((".weight", ".bias"))]
        return [{"params": p, "lr": r} for p, r in ((features, self.rate), (net, self.net_rate)) if p]

    def answers(self, points: Tensor, views: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Densities (S,) and colours (S, 3) at points, of every network that has them."""
        yield self.model.ask(points, views)

    def seen(self, rays: Rays, colours: Tensor, jitter: torch.Generator) -> Tensor:
        """Squared error of rendered rays."""
        traced = self.model.trace(rays, jitter)
        return ((traced.rgb + (1 - traced.alpha[:, None]) * float(self.model.white) - colours) ** 2).mean()

    def dues(self, step: int) -> Tensor:
        """What the parameters themselves are charged in this step."""
        return torch.zeros(())

    def finish(self) -> Field:
        """The trained field."""
        return replace(self.field, tensors={n: t.detach().numpy().copy() for n, t in self.model.tensors.items()})


def student_of(
    kind: str, teacher: Field, taught: Lessons, cameras: Sequence[Camera], side: int | None, seed: int
) -> Student:
    """An untrained student of that kind. Raises UsageError."""
    if kind not in STUDENTS:
        raise UsageError(f"fields are distilled to {', '.join(STUDENTS)} or splats, not to '{kind}'")
    module, _, name = STUDENTS[kind].partition(":")
    build: type[Student] = getattr(import_module(module), name)
    return build(teacher, taught, cameras, side, seed)


def layers(rng: np.random.Generator, stem: str, widths: Sequence[int]) -> dict[str, Array]:
    """Linear layers stem.0, stem.1, … with PyTorch's default initial values."""
    out: dict[str, Array] = {}
    for k, (inner, outer) in enumerate(pairwise(widths)):
        out |= layer(rng, f"{stem}.{k}", inner, outer)
    return out


def layer(rng: np.random.Generator, name: str, inner: int, outer: int) -> dict[str, Array]:
    """One of them."""
    bound = inner**-0.5
    weight, bias = rng.uniform(-bound, bound, (outer, inner)), rng.uniform(-bound, bound, outer)
    return {f"{name}.weight": weight.astype(np.float32), f"{name}.bias": bias.astype(np.float32)}


def unbounded(field: Field) -> bool:
    """Whether all of space is contracted into the field."""
    return field.spec.geometry.get("contraction", "none") != "none"
