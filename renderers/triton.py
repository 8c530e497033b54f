"""The Triton renderer: the kernels of ``gscompress.kernels`` in a row, from float or from packed splats.

On a machine without a GPU it runs only under TRITON_INTERPRET=1, for tests on tiny pictures.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gscompress.camera import Camera
from gscompress.errors import MissingExtraError, UsageError
from gscompress.renderers.base import F32, Gradients, Image
from gscompress.scene import Scene, Splats

if TYPE_CHECKING:
    import torch

    from gscompress.kernels.bin_tiles import Bins
    from gscompress.kernels.packed import PackedSplats
    from gscompress.kernels.planar import PlanarSplats


class TritonRenderer:
    """Renderer on an NVIDIA GPU of compute capability 8.0 or later. The last scene stays on the device.

    packed: keep scenes quantised in video memory (about 67 bytes per Gaussian at SH degree 3 instead of 236) and
    decode them while projecting; pictures then differ by the quantisation, and gradients are not to be had.
    Raises MissingExtraError without torch and triton, UsageError without a GPU.
    """

    name = "triton"

    def __init__(self, *, packed: bool = False) -> None:
        self.device = find_device("the triton renderer")
        self.packed = packed
        self._resident: tuple[Splats, PackedSplats | PlanarSplats] | None = None

    def render(
        self,
        scene: Scene,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        sh_degree: int | None = None,
    ) -> Image:
        """Render one view; see ``renderers.base.Renderer``."""
        rgb, alpha, depth, _records, _bins = self.render_on_device(scene, camera, background, sh_degree)
        return Image(_host(rgb), _host(alpha), _host(depth))

    def render_with_grad(
        self,
        scene: Scene,
        camera: Camera,
        image_grad: Callable[[Image], F32],
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        sh_degree: int | None = None,
    ) -> tuple[Image, Gradients]:
        """Render and pull dL/d rgb back; see ``renderers.base.Renderer``. Raises UsageError for packed scenes."""
        import torch

        from gscompress.kernels.planar import PlanarSplats, pull_back
        from gscompress.kernels.rasterize import rasterize_backward

        splats = self.upload(scene.splats)
        if not isinstance(splats, PlanarSplats):
            raise UsageError("packed scenes have no gradients: use the triton renderer without packed")
        rgb, alpha, depth, records, bins = self.render_on_device(scene, camera, background, sh_degree)
        image = Image(_host(rgb), _host(alpha), _host(depth))
        rgb_grad = np.ascontiguousarray(image_grad(image), np.float32)
        if rgb_grad.shape != image.rgb.shape:
            raise UsageError(f"image_grad returned {rgb_grad.shape}, expected {image.rgb.shape}")
        record_grads = rasterize_backward(records, bins, rgb, torch.from_numpy(rgb_grad).to(self.device))
        mip, bands = scene.model == "mip", _bands(scene, sh_degree)
        grads = pull_back(splats, self.camera_tensor(camera), records, record_grads, mip=mip, bands=bands)
        return image, Gradients(
            means=_host(grads.means.T),
            log_scales=_host(grads.log_scales.T),
            quats=_host(grads.quats.T),
            logit_opacities=_host(grads.logits),
            sh=_host(grads.sh.T).reshape(scene.splats.sh.shape),
            means2d=_host(record_grads[:, :2]),
            contribution=_host(record_grads[:, 9]),
        )

    def render_on_device(
        self, scene: Scene, camera: Camera, background: tuple[float, float, float], sh_degree: int | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, Bins]:
        """rgb (H, W, 3), alpha and depth (H, W) that stay on the device, and the records and bins they came from."""
        from gscompress.kernels.bin_tiles import bin_tiles
        from gscompress.kernels.rasterize import rasterize

        records = self.records(self.upload(scene.splats), camera, scene.model == "mip", _bands(scene, sh_degree))
        bins = bin_tiles(records, camera.width, camera.height)
        return *rasterize(records, bins, camera.width, camera.height, background), records, bins

    def records(self, splats: PackedSplats | PlanarSplats, camera: Camera, mip: bool, bands: int) -> torch.Tensor:
        """One view's records (N, 10), see ``kernels.record``."""
        from gscompress.kernels.dequant import records_of_packed
        from gscompress.kernels.planar import PlanarSplats, records_of

        if isinstance(splats, PlanarSplats):
            return records_of(splats, self.camera_tensor(camera), mip=mip, bands=bands)
        return records_of_packed(splats, self.camera_tensor(camera), mip=mip, bands=bands)

    def upload(self, splats: Splats) -> PackedSplats | PlanarSplats:
        """The scene on the device; the same object again as long as the same splats come."""
        from gscompress.kernels.packed import pack
        from gscompress.kernels.planar import PlanarSplats

        if self._resident is None or self._resident[0] is not splats:
            self._resident = None
            there = pack(splats).to(self.device) if self.packed else PlanarSplats.upload(splats, self.device)
            self._resident = splats, there
        return self._resident[1]

    def camera_tensor(self, camera: Camera) -> torch.Tensor:
        """``kernels.project.camera_vector`` on the device."""
        import torch

        from gscompress.kernels.project import camera_vector

        return torch.from_numpy(camera_vector(camera)).to(self.device)


def find_device(purpose: str) -> Any:
    """torch's CUDA device, or its CPU under TRITON_INTERPRET=1. Raises MissingExtraError, UsageError."""
    try:
        import torch
        import triton  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "triton", "gpu", purpose) from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    if os.environ.get("TRITON_INTERPRET") == "1":
        return torch.device("cpu")
    raise UsageError(f"{purpose} needs an NVIDIA GPU, and torch finds none here: use the cpu renderer")


def _bands(scene: Scene, sh_degree: int | None) -> int:
    own = scene.splats.sh_degree
    return ((own if sh_degree is None else max(0, min(sh_degree, own))) + 1) ** 2


def _host(tensor: torch.Tensor) -> F32:
    return np.ascontiguousarray(tensor.cpu().numpy())
