"""Projection and blend of ``reference.py`` once more in torch float64, so that autograd gives exact gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gscompress.camera import Camera
from gscompress.renderers.base import ALPHA_MAX, ALPHA_MIN, BLUR, TRANSMITTANCE_MIN
from gscompress.scene import Scene
from gscompress.sh import C0, C1, C2, C3

NAMES = ("means", "log_scales", "quats", "logit_opacities", "sh")


def basis(d: torch.Tensor, bands: int) -> torch.Tensor:
    x, y, z = d.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    columns = [torch.full_like(x, C0), -C1 * y, C1 * z, -C1 * x]
    columns += [C2[0] * x * y, C2[1] * y * z, C2[2] * (2 * zz - xx - yy), C2[3] * x * z, C2[4] * (xx - yy)]
    columns += [C3[0] * y * (3 * xx - yy), C3[1] * x * y * z, C3[2] * y * (4 * zz - xx - yy)]
    columns += [C3[3] * z * (2 * zz - 3 * xx - 3 * yy), C3[4] * x * (4 * zz - xx - yy)]
    columns += [C3[5] * z * (xx - yy), C3[6] * x * (xx - 3 * yy)]
    return torch.stack(columns[:bands], -1)


def rotations(quats: torch.Tensor) -> torch.Tensor:
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def project(p: dict[str, torch.Tensor], camera: Camera, mip: bool) -> tuple[torch.Tensor, ...]:
    """Centres, conics, opacities, colours and depths of all Gaussians (all must lie beyond the near plane)."""
    w2c = torch.from_numpy(camera.w2c)
    view = p["means"] @ w2c[:3, :3].T + w2c[:3, 3]
    x, y, z = view.unbind(-1)
    centres = torch.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], -1)
    mx, my = 0.15 * camera.width / camera.fx, 0.15 * camera.height / camera.fy
    u = z * torch.clamp(x / z, -camera.cx / camera.fx - mx, (camera.width - camera.cx) / camera.fx + mx)
    v = z * torch.clamp(y / z, -camera.cy / camera.fy - my, (camera.height - camera.cy) / camera.fy + my)
    zero = torch.zeros_like(z)
    first = torch.stack([camera.fx / z, zero, -camera.fx * u / z**2], -1)
    jacobian = torch.stack([first, torch.stack([zero, camera.fy / z, -camera.fy * v / z**2], -1)], -2)
    axes = jacobian @ w2c[:3, :3] @ (rotations(p["quats"]) * torch.exp(p["log_scales"])[:, None, :])
    bare = axes @ axes.transpose(1, 2)
    covariances = bare + BLUR * torch.eye(2, dtype=torch.float64)
    opacities = torch.sigmoid(p["logit_opacities"])
    if mip:
        opacities = opacities * torch.sqrt(torch.clamp(torch.det(bare) / torch.det(covariances), min=0))
    directions = torch.nn.functional.normalize(p["means"] - torch.from_numpy(camera.position), dim=-1)
    colours = 0.5 + torch.einsum("nk,nkc->nc", basis(directions, p["sh"].shape[1]), p["sh"])
    return centres, torch.linalg.inv(covariances), opacities, torch.clamp(colours, min=0), z


def gradients(
    scene: Scene, camera: Camera, grad: np.ndarray[Any, Any], background: tuple[float, float, float]
) -> tuple[np.ndarray[Any, Any], dict[str, np.ndarray[Any, Any]]]:
    """The picture, and gradients and statistics by the names that ``Gradients`` uses, all float64."""
    p = {name: torch.from_numpy(getattr(scene.splats, name)).double() for name in NAMES}
    for tensor in p.values():
        tensor.requires_grad_()
    centres, conics, opacities, colours, z = project(p, camera, scene.model == "mip")
    centres.retain_grad()
    y, x = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    through = torch.ones((camera.height, camera.width), dtype=torch.float64)
    going = torch.ones((camera.height, camera.width), dtype=torch.bool)
    rgb = torch.zeros((camera.height, camera.width, 3), dtype=torch.float64)
    contribution = np.zeros(len(scene))
    for i in np.argsort(z.detach().numpy().astype(np.float32), kind="stable"):
        dx, dy = x - centres[i, 0], y - centres[i, 1]
        distance = conics[i, 0, 0] * dx * dx + 2 * conics[i, 0, 1] * dx * dy + conics[i, 1, 1] * dy * dy
        alpha = torch.clamp(opacities[i] * torch.exp(-0.5 * distance), max=ALPHA_MAX)
        alpha = torch.where(alpha >= ALPHA_MIN, alpha, 0.0)
        going = going & (through * (1 - alpha) >= TRANSMITTANCE_MIN).detach()
        weight = torch.where(going, through * alpha, 0.0)
        rgb = rgb + weight[..., None] * colours[i]
        through = through - weight
        contribution[i] = weight.sum().item()
    rgb = rgb + through[..., None] * torch.tensor(background, dtype=torch.float64)
    rgb.backward(torch.from_numpy(grad).double())
    out = {name: tensor.grad.numpy() for name, tensor in p.items() if tensor.grad is not None}
    assert centres.grad is not None
    return rgb.detach().numpy(), {**out, "means2d": centres.grad.numpy(), "contribution": contribution}
