"""Projection, covariance and SH of both of our renderers against gsplat's torch reference."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("CUDA_HOME", "/nonexistent")  # keeps gsplat from a long build where nvcc is there but no GPU
torch = pytest.importorskip("torch")
peer: Any = pytest.importorskip("gsplat.cuda._torch_impl", reason="gsplat is not installed", exc_type=ImportError)

from small_scenes import blob, camera  # noqa: E402

from gscompress.camera import Camera  # noqa: E402
from gscompress.kernels.cpu_project import BLUE, DEPTH, LOG, LOG2_E, QXX, QXY, QYY, RED, X, Y  # noqa: E402
from gscompress.renderers.cpu import CpuRenderer  # noqa: E402
from gscompress.renderers.reference import project  # noqa: E402
from gscompress.scene import Scene  # noqa: E402


def gsplat_says(scene: Scene, view: Camera) -> dict[str, np.ndarray]:
    s = scene.splats
    means, quats = torch.from_numpy(s.means).double(), torch.from_numpy(s.quats).double()
    scales = torch.exp(torch.from_numpy(s.log_scales).double())
    covariances, _ = peer._quat_scale_to_covar_preci(quats, scales, True, False)
    k = torch.tensor([[view.fx, 0, view.cx], [0, view.fy, view.cy], [0, 0, 1]], dtype=torch.float64)[None]
    w2c = torch.from_numpy(view.w2c)[None]
    _, centres, depths, conics, compensations = peer._fully_fused_projection(
        means, covariances, w2c, k, view.width, view.height, near_plane=view.near, calc_compensations=True
    )
    directions = means - torch.from_numpy(view.position)
    colours = peer._spherical_harmonics(s.sh_degree, directions, torch.from_numpy(s.sh).double())
    out = {"centres": centres, "depths": depths, "conics": conics, "compensations": compensations}
    return {name: value[0].numpy() for name, value in out.items()} | {"colours": np.maximum(colours.numpy() + 0.5, 0)}


@pytest.mark.parametrize(("distance", "focal"), [(2.5, 1.0), (1.0, 0.5)])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_projection_and_colours_are_gsplats(degree: int, distance: float, focal: float) -> None:
    scene, view = blob(500, 11, degree, "mip"), camera(distance=distance, focal=focal)
    theirs, twin = gsplat_says(scene, view), project(scene, view)
    i = twin.index
    opacities = theirs["compensations"][i] / (1 + np.exp(-scene.splats.logit_opacities[i].astype(np.float64)))
    conics = np.linalg.inv(twin.covariances)[:, (0, 0, 1), (0, 1, 1)]
    np.testing.assert_allclose(twin.centres, theirs["centres"][i], rtol=1e-6)
    np.testing.assert_allclose(conics, theirs["conics"][i], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(twin.opacities, opacities, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(twin.colours, theirs["colours"][i], rtol=1e-5, atol=1e-6)

    drawn = CpuRenderer().view(scene, view)
    i, rows = drawn.order, drawn.rows[drawn.order]
    assert len(i) > 100
    ours = rows[:, [QXX, QXY, QYY]] * np.array([-2, -1, -2]) / LOG2_E
    opacities = theirs["compensations"][i] / (1 + np.exp(-scene.splats.logit_opacities[i].astype(np.float64)))
    np.testing.assert_allclose(rows[:, [X, Y]], theirs["centres"][i], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(ours, theirs["conics"][i], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.exp2(rows[:, LOG]), opacities, rtol=1e-5)
    np.testing.assert_allclose(rows[:, RED : BLUE + 1], theirs["colours"][i], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(rows[:, DEPTH], theirs["depths"][i], rtol=1e-6)
