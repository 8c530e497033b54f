"""Volume rendering of radiance fields in torch (extra "nerf"): one model per kind of field, here the pictures."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np
import torch

from gscompress.camera import Camera
from gscompress.field import Field
from gscompress.renderers.base import Image
from gscompress.renderers.field_model import FieldModel
from gscompress.renderers.volume_math import Rays, Traced, rays_of

_HERE = "gscompress.renderers"
_MODELS = {
    "mlp": f"{_HERE}.field_mlp:MlpModel",
    "voxels": f"{_HERE}.field_voxels:VoxelModel",
    "feature_voxels": f"{_HERE}.field_feature_voxels:FeatureVoxelModel",
    "hash_grid": f"{_HERE}.field_hash:HashModel",
    "planes": f"{_HERE}.field_planes:PlanesModel",
}
CHUNK = 128
"""Rays at a time: what a layer puts out for them stays in the cache, and memory is bounded."""


def model_of(field: Field) -> FieldModel:
    """The field as something that traces rays. Raises UnreadableError when its tensors do not fit its spec."""
    module, _, name = _MODELS[field.spec.kind].partition(":")
    build: Callable[[Field], FieldModel] = getattr(import_module(module), name)
    return build(field)


def trace_all(model: FieldModel, rays: Rays) -> Traced:
    """Trace rays in chunks, without gradients."""
    with torch.no_grad():
        parts = [model.trace(rays.take(slice(i, i + CHUNK))) for i in range(0, len(rays), CHUNK)]
    return Traced(*(torch.cat([getattr(p, name) for p in parts]) for name in ("rgb", "alpha", "depth")))


class VolumeRenderer:
    """Camera + field → picture. Models of the last two fields are kept: two are compared view by view.

    cells: of the virtual grid that samples are snapped to (``FieldModel.snapped``); None: they stay where they are.
    """

    name = "volume"

    def __init__(self, cells: int | None = None) -> None:
        self._cells = cells
        self._kept: list[tuple[Field, FieldModel]] = []

    def model(self, field: Field) -> FieldModel:
        """The field ready for tracing. Raises UnreadableError."""
        for kept, model in self._kept:
            if kept is field:
                return model
        model = model_of(field)
        model.cells = self._cells
        self._kept = [*self._kept[-1:], (field, model)]
        return model

    def render(self, field: Field, camera: Camera, *, background: tuple[float, float, float] | None = None) -> Image:
        """Render one view. background: RGB in [0, 1]; by default what the field was trained with."""
        model = self.model(field)
        traced = trace_all(model, rays_of(camera))
        colour = torch.tensor(background if background is not None else (float(model.white),) * 3)
        rgb = traced.rgb + (1 - traced.alpha[:, None]) * colour
        shape = camera.height, camera.width
        return Image(
            np.ascontiguousarray(rgb.reshape(*shape, 3).numpy(), np.float32),
            traced.alpha.reshape(shape).numpy(),
            traced.depth.reshape(shape).numpy(),
        )
