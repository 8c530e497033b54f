"""What one would write in plain torch: project, sort, and per 32x32 tile a (pixels, Gaussians) alpha matrix.

The opponent of ``bench_renderer.py``; float32, autograd per tile, so that memory stays bounded.
"""

from __future__ import annotations

import time

import torch

from gscompress.camera import Camera
from gscompress.scene import Scene
from gscompress.sh import basis

TILE = 32


def project(scene: Scene, camera: Camera) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Leaf tensors of the stored parameters, and centre, conic, opacity, colour and reach, depth-sorted and culled."""
    s = scene.splats
    leaves = [torch.from_numpy(a.copy()).requires_grad_() for a in (s.means, s.log_scales, s.quats, s.logit_opacities)]
    sh = torch.from_numpy(s.sh.copy()).requires_grad_()
    means, log_scales, quats, logits = leaves
    w2c = torch.from_numpy(camera.w2c).float()
    view = means @ w2c[:3, :3].T + w2c[:3, 3]
    x, y, z = view.unbind(-1)
    w, i, j, k = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    turn = [1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j)]
    turn += [2 * (i * j + w * k), 1 - 2 * (i * i + k * k), 2 * (j * k - w * i)]
    turn += [2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j)]
    rotations = torch.stack(turn, -1).reshape(-1, 3, 3)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([camera.fx / z, zero, -camera.fx * x / z**2, zero, camera.fy / z, -camera.fy * y / z**2], -1)
    axes = jacobian.reshape(-1, 2, 3) @ w2c[:3, :3] @ (rotations * torch.exp(log_scales)[:, None])
    covariance = axes @ axes.transpose(1, 2) + 0.3 * torch.eye(2)
    reach = 3.33 * torch.sqrt(torch.diagonal(covariance, dim1=1, dim2=2))
    directions = torch.nn.functional.normalize(means - torch.from_numpy(camera.position).float(), dim=-1)
    values = torch.from_numpy(basis(directions.detach().numpy(), s.sh_degree))
    colour = torch.clamp(0.5 + torch.einsum("nk,nkc->nc", values, sh), min=0)
    centre = torch.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], -1)
    order = torch.argsort(z.detach())
    order = order[z.detach()[order] > camera.near]
    screen = [centre, torch.linalg.inv(covariance), torch.sigmoid(logits), colour, reach]
    return [*leaves, sh], [tensor[order] for tensor in screen]


def draw(screen: list[torch.Tensor], left: int, top: int, camera: Camera) -> torch.Tensor:
    """(pixels, 3) picture of one tile."""
    centre, conic, opacity, colour, reach = screen
    size = torch.tensor([TILE, TILE])
    low, high = centre + reach, centre - reach
    corner = torch.tensor([left, top])
    hit = torch.nonzero(((low > corner) & (high < corner + size)).all(1))[:, 0]
    y, x = torch.meshgrid(
        torch.arange(top, min(top + TILE, camera.height)) + 0.5,
        torch.arange(left, min(left + TILE, camera.width)) + 0.5,
        indexing="ij",
    )
    dx, dy = x.reshape(-1, 1) - centre[hit, 0], y.reshape(-1, 1) - centre[hit, 1]
    a, b, c = conic[hit, 0, 0], conic[hit, 0, 1], conic[hit, 1, 1]
    alpha = opacity[hit] * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
    alpha = torch.where(alpha < 1 / 255, 0.0, torch.clamp(alpha, max=0.99))
    through = torch.cumprod(1 - alpha, 1)
    return (alpha * torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], 1)) @ colour[hit]


def time_torch(scene: Scene, camera: Camera, share: float) -> tuple[float, float]:
    """CPU ms of one thread, forward and forward + backward; tiles are an even sample, scaled to all."""
    torch.set_num_threads(1)
    tiles = [(x, y) for y in range(0, camera.height, TILE) for x in range(0, camera.width, TILE)]
    sample = tiles[:: max(1, round(1 / share))]
    scale = len(tiles) / len(sample)
    start = time.process_time()
    leaves, screen = project(scene, camera)
    projected = time.process_time()
    with torch.no_grad():
        for tile in sample:
            draw(screen, *tile, camera)
    drawn = time.process_time()
    loose = [tensor.detach().requires_grad_() for tensor in screen]
    for tile in sample:
        draw(loose, *tile, camera).sum().backward()
    pulled = time.process_time()
    torch.autograd.backward(screen[:4], [tensor.grad for tensor in loose[:4]])
    end = time.process_time()
    assert all(leaf.grad is not None for leaf in leaves)
    front, back = projected - start, end - pulled
    return 1e3 * (front + scale * (drawn - projected)), 1e3 * (front + scale * (pulled - drawn) + back)
