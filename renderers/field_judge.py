"""What a field codec asks of pictures: how much each weight and feature matters to them.

For a picture I(theta) and random signs r, g = d<r, I> / d theta has E[g g^T] = J^T J, the Gauss-Newton matrix of the
squared error. Pixels are independent of each other, so what matters is gathered ray by ray: a layer y = W x that a ray
passes at S samples gets z = sum_s (d<r, I> / d y_s) x_s^T, and E[z_o z_o^T] is the exact second-order cost of row o.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gscompress.camera import Camera
from gscompress.events import EventLog
from gscompress.field import Array, Field
from gscompress.field_statistics import Statistics
from gscompress.renderers.field_model import FieldModel
from gscompress.renderers.field_refine import refine
from gscompress.renderers.volume import model_of, trace_all
from gscompress.renderers.volume_math import Rays, Traced, rays_of

GUIDE = 0.25
"""Weight of the sampling network's own picture: its errors move samples, they do not colour pixels."""
_RAYS = {"hash_grid": 256, "voxels": 512, "feature_voxels": 512}
"""Per backward pass, where the gradient of all entries costs more than tracing; 64 for other fields."""
_TEACHER = 65536  # rays that a field's own pictures are made of, to be trained against


class FieldJudge:
    """Judges fields by their renders from ``cameras``, or by photos when there are any.

    photos: (H, W, 3) uint8 of every camera. rays: how many random rays stand for all pixels when sensitivities are
    measured. trials: how many others, that no sensitivity was measured with, when errors are.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        *,
        photos: Sequence[npt.NDArray[np.uint8]] = (),
        rays: int = 1024,
        trials: int | None = None,
        seed: int = 0,
    ) -> None:
        self._seed = seed
        self._seen: tuple[Field, Tensor] | None = None
        trials = rays if trials is None else trials
        every = [rays_of(camera) for camera in cameras]
        self._whole = Rays(
            torch.cat([r.origins for r in every]), torch.cat([r.directions for r in every]), every[0].window
        )
        mixed = torch.from_numpy(np.random.default_rng(seed).permutation(len(self._whole)))
        first = min(rays, max(len(mixed) - trials, len(mixed) // 2))
        self._rays = self._whole.take(mixed[:first])
        self._trials = self._whole.take(mixed[first : first + trials])
        self._colours: Tensor | None = None
        if len(photos):
            flat = np.concatenate([photo.reshape(-1, 3) for photo in photos])
            self._colours = torch.from_numpy(flat).float() / 255
            self._photographed = self._colours[mixed[first : first + trials]]

    def statistics(self, field: Field, log: EventLog | None = None, rays: int | None = None) -> Statistics:
        """Second moments of layers and squared gradients of everything else, per pixel value (rays times three).

        rays: fewer than the judge has.
        """
        looked = self._rays.take(slice(0, rays))
        model = model_of(field)
        leaves = model.require_gradients()
        signs = torch.Generator().manual_seed(self._seed)
        layers = _Layers(model)
        squares = {name: torch.zeros_like(t) for name, t in model.tensors.items() if t.is_floating_point()}
        with (log or EventLog()).phase("measure sensitivities", len(looked)) as tick:
            batch = _RAYS.get(field.spec.kind, 64)
            for start in range(0, len(looked), batch):
                part = looked.take(slice(start, start + batch))
                layers.rays = len(part)
                traced = model.trace(part)
                _signed(traced, signs).backward()
                for tensor, square in zip(leaves, squares.values()):
                    if tensor.grad is not None:
                        square.add_(tensor.grad**2)
                        tensor.grad = None
                tick(len(part))
        values = 3.0 * len(looked)
        plain = {n: t.numpy().astype(np.float64) / values for n, t in squares.items() if not layers.covers(n)}
        return Statistics(layers.moments(values), layers.rows(), plain)

    def squared_error(self, original: Field, decoded: Field) -> float:
        """Mean squared difference of the two fields' pixels, colours clamped to [0, 1]."""
        before, after = self._pictures(original, decoded)
        return float(((after - before) ** 2).mean())

    def lost(self, original: Field, decoded: Field) -> float:
        """With photos, how much more the decoded field's pictures differ from them; without, ``squared_error``."""
        before, after = self._pictures(original, decoded)
        if self._colours is None:
            return float(((after - before) ** 2).mean())
        return float(((after - self._photographed) ** 2).mean() - ((before - self._photographed) ** 2).mean())

    def _pictures(self, original: Field, decoded: Field) -> tuple[Tensor, Tensor]:
        if self._seen is None or self._seen[0] is not original:
            self._seen = original, _opaque(model_of(original), self._trials)
        return self._seen[1], _opaque(model_of(decoded), self._trials)

    def refine(
        self, field: Field, steps: Mapping[str, Array], price: float, seconds: float, log: EventLog | None = None
    ) -> Field:
        """``field_refine.refine`` against the photos, or against the field's own pictures."""
        rays, colours = self.targets(field)
        return refine(field, rays, colours, steps, price, seconds=seconds, seed=self._seed, log=log)

    def targets(self, field: Field) -> tuple[Rays, Tensor]:
        """Rays and the colours (R, 3) they should have: the photos', or the field's own."""
        if self._colours is not None:
            return self._whole, self._colours
        rows = torch.from_numpy(np.random.default_rng(self._seed + 1).permutation(len(self._whole))[:_TEACHER])
        rays = self._whole.take(rows)
        return rays, _opaque(model_of(field), rays)


def _opaque(model: FieldModel, rays: Rays) -> Tensor:
    traced = trace_all(model, rays)
    return (traced.rgb + (1 - traced.alpha[:, None]) * float(model.white)).clamp(0, 1)


def _signed(traced: Traced, generator: torch.Generator) -> Tensor:
    """<r, I> over the picture, and over the guide's with less weight."""
    total = torch.zeros(())
    for picture, weight in ((traced.rgb, 1.0), (traced.guide, GUIDE)):
        if picture is not None:
            signs = torch.randint(0, 2, picture.shape, generator=generator) * 2.0 - 1.0
            total = total + weight * (signs * picture).sum()
    return total


class _Layers:
    """Gathers second moments of the linear layers while gradients run back through a model."""

    def __init__(self, model: FieldModel) -> None:
        self.rays = 1
        self._moments: dict[str, Tensor] = {}
        self._rows: dict[str, Tensor] = defaultdict(lambda: torch.zeros(()))
        self._bias = {
            n.removesuffix(".weight") for n in model.tensors if n.removesuffix("weight") + "bias" in model.tensors
        }
        model.tap = self._tap

    def covers(self, tensor: str) -> bool:
        return tensor.rpartition(".")[0] in self._moments and tensor.endswith((".weight", ".bias"))

    def _tap(self, name: str, x: Tensor, y: Tensor) -> None:
        if y.requires_grad:
            y.register_hook(lambda grad: self._add(name, x.detach(), grad))

    def _add(self, name: str, x: Tensor, grad: Tensor) -> None:
        if name in self._bias:
            x = torch.cat([x, torch.ones_like(x[:, :1])], -1)
        whole = len(x) % self.rays == 0
        shape = (self.rays, -1) if whole else (len(x), 1)
        z = grad.reshape(*shape, grad.shape[1]).transpose(1, 2) @ x.reshape(*shape, x.shape[1])
        flat = z.reshape(-1, x.shape[1])
        self._moments[name] = self._moments.get(name, 0) + (flat.T @ flat).double()
        self._rows[name] = self._rows[name] + (z * z).sum((0, 2)).double()

    def moments(self, values: float) -> dict[str, np.ndarray]:
        """(in [+ 1], in [+ 1]) mean over rows."""
        return {n: m.numpy() / (values * len(self._rows[n])) for n, m in self._moments.items()}

    def rows(self) -> dict[str, np.ndarray]:
        """(out,) relative to the mean row."""
        return {n: (r / r.mean().clamp(min=1e-30)).numpy() for n, r in self._rows.items()}
