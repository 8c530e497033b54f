"""gsplat's CUDA rasterizer (Ye et al., JMLR 2025; nerfstudio-project/gsplat, Apache-2.0) behind the same contract.

It differs from ``renderers.base`` in one number: gsplat 1.5 caps alpha at 0.999, not 0.99.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gscompress.camera import Camera
from gscompress.errors import MissingExtraError, UsageError
from gscompress.renderers.base import F32, Gradients, Image
from gscompress.scene import Scene, Splats

if TYPE_CHECKING:
    import torch

Parameters = dict[str, "torch.Tensor"]


class GsplatRenderer:
    """Renderer on an NVIDIA GPU through gsplat. The last scene stays on the device.

    Raises MissingExtraError without torch or gsplat, UsageError without a GPU or without gsplat's compiled kernels.
    """

    name = "gsplat"

    def __init__(self) -> None:
        self.device = _device()
        self._resident: tuple[Splats, Parameters] | None = None

    def render(
        self,
        scene: Scene,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        sh_degree: int | None = None,
    ) -> Image:
        """Render one view; see ``renderers.base.Renderer``."""
        import torch

        with torch.no_grad():
            picture, alpha, _info = self.rasterize(scene, camera, self.upload(scene.splats), background, sh_degree)
        return _image(picture, alpha)

    def render_with_grad(
        self,
        scene: Scene,
        camera: Camera,
        image_grad: Callable[[Image], F32],
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        sh_degree: int | None = None,
    ) -> tuple[Image, Gradients]:
        """Render and pull dL/d rgb back; see ``renderers.base.Renderer``."""
        import torch

        parameters = {name: value.clone().requires_grad_() for name, value in self.upload(scene.splats).items()}
        weight = torch.zeros(len(scene), 1, device=self.device, requires_grad=True)
        picture, alpha, info = self.rasterize(scene, camera, parameters, background, sh_degree, weight)
        info["means2d"].retain_grad()
        image = _image(picture, alpha)
        # The fourth channel is a constant 0 per Gaussian: its gradient is the Gaussian's summed blending weight.
        pull = torch.zeros_like(picture)
        pull[..., :3] = torch.from_numpy(np.ascontiguousarray(image_grad(image), np.float32)).to(self.device)
        pull[..., 3] = 1
        picture.backward(pull)
        grads = {name: _host(value.grad) for name, value in parameters.items()}
        return image, Gradients(**grads, means2d=_host(info["means2d"].grad[0]), contribution=_host(weight.grad)[:, 0])

    def rasterize(
        self,
        scene: Scene,
        camera: Camera,
        parameters: Parameters,
        background: tuple[float, float, float],
        sh_degree: int | None,
        weight: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
        """(H, W, C) channels, rgb first and view depth last, (H, W) alpha and gsplat's own record of the view.

        weight: (N, 1) a further colour channel, put between blue and depth.
        """
        import gsplat
        import torch

        w2c = torch.tensor(camera.w2c, dtype=torch.float32, device=self.device)
        k = torch.tensor([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], device=self.device)
        centre = torch.tensor(camera.position, dtype=torch.float32, device=self.device)
        degree = scene.splats.sh_degree if sh_degree is None else max(0, min(sh_degree, scene.splats.sh_degree))
        means, sh = parameters["means"], parameters["sh"]
        colours = (gsplat.spherical_harmonics(degree, means - centre, sh) + 0.5).clamp_min(0)
        backdrop = list(background)
        if weight is not None:
            colours, backdrop = torch.cat([colours, weight], dim=1), [*backdrop, 0.0]
        picture, alpha, info = gsplat.rasterization(
            means,
            parameters["quats"],
            parameters["log_scales"].exp(),
            parameters["logit_opacities"].sigmoid(),
            colours,
            w2c[None],
            k[None].float(),
            camera.width,
            camera.height,
            near_plane=camera.near,
            packed=False,
            backgrounds=torch.tensor([backdrop], device=self.device),
            render_mode="RGB+D",
            rasterize_mode="antialiased" if scene.model == "mip" else "classic",
        )
        return picture[0], alpha[0, ..., 0], info

    def upload(self, splats: Splats) -> Parameters:
        """The five attributes on the device; the same tensors again as long as the same splats come."""
        import torch

        if self._resident is None or self._resident[0] is not splats:
            self._resident = None
            names = ("means", "log_scales", "quats", "logit_opacities", "sh")
            there = {name: torch.tensor(getattr(splats, name), device=self.device) for name in names}
            self._resident = splats, there
        return self._resident[1]


def _device() -> Any:
    try:
        import torch

        if not torch.cuda.is_available():  # before gsplat is imported: its first use may start a long build
            raise UsageError("the gsplat renderer needs an NVIDIA GPU, and torch finds none here: use the cpu renderer")
        from gsplat.cuda._backend import _C
    except ImportError as error:
        raise MissingExtraError(error.name or "gsplat", "gpu", "the gsplat renderer") from None
    if _C is None:
        raise UsageError("gsplat's CUDA kernels are not built: install the CUDA toolkit (nvcc) that torch was made for")
    return torch.device("cuda")


def _image(picture: torch.Tensor, alpha: torch.Tensor) -> Image:
    return Image(_host(picture[..., :3]), _host(alpha), _host(picture[..., -1]))


def _host(tensor: torch.Tensor | None) -> F32:
    assert tensor is not None
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
