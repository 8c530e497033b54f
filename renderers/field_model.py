"""The contract of a field that can be rendered: tensors by name, and ``trace``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from gscompress.errors import UnreadableError, UsageError
from gscompress.field import Field
from gscompress.renderers.volume_math import Rays, Traced

_REACH = 2.5
Tap = Callable[[str, Tensor, Tensor], None]


class FieldModel(ABC):
    """A field's tensors in torch. tap: called with a layer's name, inputs (S, in) and outputs (S, out), when set.

    cells: snap samples of rays to a virtual grid of so many cells an axis, when set (``snapped``).
    """

    def __init__(self, field: Field) -> None:
        self.geometry: Mapping[str, Any] = field.spec.geometry
        self.tensors: dict[str, Tensor] = {name: torch.from_numpy(a.copy()) for name, a in field.tensors.items()}
        self.tap: Tap | None = None
        self.cells: int | None = None
        try:
            self.prepare()
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
            raise UnreadableError(
                f"the field's {field.spec.kind} geometry does not fit its tensors ({error})"
            ) from None

    @property
    def white(self) -> bool:
        """Whether the field was trained before a white background."""
        return bool(self.geometry.get("white", False))

    def require_gradients(self) -> list[Tensor]:
        """Make every float tensor a leaf that gathers gradients; returns them in order."""
        floats = [t for t in self.tensors.values() if t.is_floating_point()]
        for tensor in floats:
            tensor.requires_grad_(True)
        return floats

    def snapped(self, points: Tensor) -> Tensor:
        """Points (…, 3) in the middle of their cells of a virtual grid from -2.5 to 2.5 in the field's axes, so that
        samples of different rays coincide (CQ-NIR, ICCV 2023: 25,600 cells). Hash grids take no part."""
        if self.cells is None:
            return points
        size = 2 * _REACH / self.cells
        return ((points + _REACH) / size).floor() * size + (size / 2 - _REACH)

    def linear(self, name: str, x: Tensor) -> Tensor:
        """A layer of this name, with or without bias."""
        y = torch.nn.functional.linear(x, self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.bias"))
        if self.tap is not None:
            self.tap(name, x, y)
        return y

    def count(self, stem: str) -> int:
        """How many layers stem.0, stem.1, … there are."""
        number = 0
        while f"{stem}.{number}.weight" in self.tensors:
            number += 1
        return number

    def prepare(self) -> None:  # noqa: B027
        """Work that depends on the geometry alone. Whatever it raises means that spec and tensors do not fit."""

    def ask(self, points: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        """Densities (S,) per world unit and colours (S, 3) at points (S, 3) seen along (S, 3), in world axes.

        Raises UsageError for fields that live along rays only (normalised device coordinates).
        """
        raise UsageError("this field cannot be asked point by point")

    @abstractmethod
    def trace(self, rays: Rays, jitter: torch.Generator | None = None) -> Traced:
        """Colours of rays; with a generator, samples are placed at random within their strata."""
