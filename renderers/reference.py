"""The slow, obvious float64 twin of every renderer: plain numpy, one Gaussian at a time over the whole picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.renderers.base import ALPHA_MAX, ALPHA_MIN, BLUR, TRANSMITTANCE_MIN, Image
from gscompress.scene import Scene
from gscompress.sh import basis

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Projected:
    """Screen ellipses of the Gaussians at ``index`` (all that lie beyond the near plane).

    centres (V, 2) pixels. covariances (V, 2, 2) px^2, dilated. opacities (V,) compensated. colours (V, 3). depths (V,).
    """

    index: npt.NDArray[np.int64]
    centres: F64
    covariances: F64
    opacities: F64
    colours: F64
    depths: F64


def rotations(quats: npt.NDArray[Any]) -> F64:
    """(N, 4) wxyz of any length → (N, 3, 3); a zero quaternion is the identity."""
    w, x, y, z = (quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-12)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def project(scene: Scene, camera: Camera, sh_degree: int | None = None) -> Projected:
    """EWA projection (Zwicker et al. 2001) with gsplat's clamp of the view angle in the Jacobian."""
    s = scene.splats
    means = s.means.astype(np.float64)
    turn = camera.w2c[:3, :3]
    view = means @ turn.T + camera.w2c[:3, 3]
    index = np.flatnonzero(view[:, 2] > camera.near)
    means, view = means[index], view[index]
    x, y, z = view.T
    centres = np.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], axis=1)
    margin_x, margin_y = 0.15 * camera.width / camera.fx, 0.15 * camera.height / camera.fy
    u = np.clip(x / z, -camera.cx / camera.fx - margin_x, (camera.width - camera.cx) / camera.fx + margin_x)
    v = np.clip(y / z, -camera.cy / camera.fy - margin_y, (camera.height - camera.cy) / camera.fy + margin_y)
    zero = np.zeros_like(z)
    jacobian = np.array([[camera.fx / z, zero, -camera.fx * u / z], [zero, camera.fy / z, -camera.fy * v / z]])
    scales = np.exp(s.log_scales[index].astype(np.float64))
    axes = np.moveaxis(jacobian, 2, 0) @ turn @ (rotations(s.quats[index].astype(np.float64)) * scales[:, None, :])
    bare = axes @ np.swapaxes(axes, 1, 2)
    covariances = bare + BLUR * np.eye(2)
    opacities = 1 / (1 + np.exp(-s.logit_opacities[index].astype(np.float64)))
    if scene.model == "mip":
        opacities = opacities * np.sqrt(np.maximum(np.linalg.det(bare) / np.linalg.det(covariances), 0))
    degree = s.sh_degree if sh_degree is None else min(sh_degree, s.sh_degree)
    directions = means - camera.position
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    values = basis(directions, degree)
    colours = 0.5 + np.einsum("nk,nkc->nc", values, s.sh[index, : values.shape[1]].astype(np.float64))
    return Projected(index, centres, covariances, opacities, np.maximum(colours, 0), z)


def alpha_of(projected: Projected, i: int, width: int, height: int) -> F64:
    """(H, W) alpha of Gaussian i alone, with the cap at 0.99 and the cut under 1/255."""
    y, x = np.mgrid[:height, :width] + 0.5
    dx, dy = x - projected.centres[i, 0], y - projected.centres[i, 1]
    (a, b), (_, c) = np.linalg.inv(projected.covariances[i])
    distance = a * dx * dx + 2 * b * dx * dy + c * dy * dy
    alpha = np.minimum(ALPHA_MAX, projected.opacities[i] * np.exp(-0.5 * distance))
    return np.where(alpha < ALPHA_MIN, 0, alpha)


def depth_order(projected: Projected) -> npt.NDArray[np.int64]:
    """Rows of ``projected`` front to back: by float32 depth, ties by index."""
    return np.lexsort((projected.index, projected.depths.astype(np.float32)))


def blend(
    projected: Projected, width: int, height: int, background: tuple[float, float, float]
) -> tuple[F64, F64, F64]:
    """rgb (H, W, 3), alpha (H, W) and depth (H, W): front to back, a pixel stops before T would fall under 1e-4."""
    through, going = np.ones((height, width)), np.ones((height, width), bool)
    rgb, depth = np.zeros((height, width, 3)), np.zeros((height, width))
    for i in depth_order(projected):
        alpha = alpha_of(projected, i, width, height)
        going &= through * (1 - alpha) >= TRANSMITTANCE_MIN
        weight = np.where(going, through * alpha, 0)
        rgb += weight[..., None] * projected.colours[i]
        depth += weight * projected.depths[i]
        through -= weight
    return rgb + through[..., None] * np.asarray(background), 1 - through, depth


class ReferenceRenderer:
    """The twin as a renderer. Exact and slow: for tests on small scenes."""

    name = "reference"

    def render(
        self,
        scene: Scene,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        sh_degree: int | None = None,
    ) -> Image:
        """Render one view; see ``renderers.base.Renderer``."""
        maps = blend(project(scene, camera, sh_degree), camera.width, camera.height, background)
        return Image(*(array.astype(np.float32) for array in maps))
