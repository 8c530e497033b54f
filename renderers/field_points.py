"""Fields that answer point by point: what distillation asks a teacher and trains a student with."""

from __future__ import annotations

import torch
from torch import Tensor

from gscompress.field import Field
from gscompress.renderers.field_hash import HashModel
from gscompress.renderers.field_model import FieldModel
from gscompress.renderers.volume import model_of


def asked(field: Field) -> FieldModel:
    """The field's model, with ``ask``. Raises UnreadableError when its tensors do not fit its spec."""
    return HashPoints(field) if field.spec.kind == "hash_grid" else model_of(field)


class HashPoints(HashModel):
    """A hash grid asked at points instead of along rays."""

    def ask(self, points: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        density, rgb = self.at(self._inner(points), torch.nn.functional.normalize(views @ self._turn.T, dim=-1))
        return density * self._zoom(), rgb

    def ask_proposals(self, points: Tensor) -> list[Tensor]:
        """(S,) densities per world unit by each of the networks that place samples."""
        inner = self._inner(points)[:, None]
        count = len(self.geometry["proposals"])
        return [self._proposal_density(k, inner)[:, 0] * self._zoom() for k in range(count)]

    def _inner(self, points: Tensor) -> Tensor:
        return points @ self._turn.T + self._move

    def _zoom(self) -> float:
        return float(torch.linalg.det(self._turn).abs() ** (1 / 3))
