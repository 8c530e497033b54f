"""Laws of the browser's coordinates and of what is sent to be drawn in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from specimens import blob

from gscompress.camera import Camera
from gscompress.frame import matrix_to_quat, quat_to_matrix
from gscompress.scene import Scene
from gscompress.viewer.splats import browser_splats
from gscompress.viewer.world import World, picture_size
from gscompress.viewpoints import generate


def moved(scene: Scene, scale: float, offset: float) -> Scene:
    """The same scene in other units, elsewhere."""
    s = scene.splats
    means = (s.means * scale + offset).astype(np.float32)
    return replace(scene, splats=replace(s, means=means, log_scales=s.log_scales + np.float32(np.log(scale))))


def project(camera: Camera, points: np.ndarray) -> np.ndarray:
    x, y, z = camera.w2c[:3, :3] @ points.T + camera.w2c[:3, 3:]
    return np.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy])


@pytest.mark.parametrize(("scale", "offset"), [(1e-3, 0.0), (5000.0, 2e5)])
def test_a_viewpoint_survives_the_way_to_the_browser_and_back(scale: float, offset: float) -> None:
    scene = moved(blob(200), scale, offset)
    world = World.around(scene)
    for camera in generate(scene, 3, 320, 200):
        pose = world.pose(camera)
        assert np.linalg.norm(pose.eye) < 20  # radii: whatever the scene's own units
        ahead = (pose.target - pose.eye) / np.linalg.norm(pose.target - pose.eye)
        assert np.allclose(ahead, camera.w2c[2, :3])
        wxyz = matrix_to_quat(camera.w2c[:3, :3].T[None])[0]
        back = world.camera(wxyz, pose.eye, pose.fov, 320, 320).resized(640, 640)
        points = scene.splats.means[:50].astype(np.float64)
        assert np.allclose(project(back, points), 2 * project(camera, points) + [[0], [120]], atol=1e-3 * 640)


def test_pictures_keep_the_windows_proportions_within_the_limit() -> None:
    assert picture_size((800, 600), (1920, 1080)) == (800, 600)
    assert picture_size((4000, 1000), (1920, 1080)) == (1920, 480)
    assert picture_size((1000, 4000), (1920, 1080)) == (270, 1080)
    assert picture_size((800, 600), (1920, 1080), 1 / 4) == (400, 300)
    assert picture_size((1, 3000), (1920, 1080), 1 / 36) == (16, 180)
    assert picture_size((0, 0), (1920, 1080)) == (16, 16)  # a hidden window


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_what_is_sent_is_the_scene_as_far_as_half_floats_go(scale: float) -> None:
    scene = moved(blob(400, 1), scale, 3.0)
    world, s = World.around(scene), scene.splats
    sent = browser_splats(scene, world)
    s = s.take(s.logit_opacities > -np.log(254))
    assert len(sent.centers) == len(s)
    centers = sent.centers.astype(np.float64) * sent.scale * world.radius + world.focus
    assert np.allclose(centers, s.means, atol=1e-5 * world.radius + 1e-6 * 3)
    half = sent.covariances.astype(np.float16).astype(np.float64)
    assert np.isfinite(half).all()
    axes = quat_to_matrix(s.quats) * np.exp(s.log_scales.astype(np.float64))[:, None, :]
    exact = axes @ axes.transpose(0, 2, 1)
    found = half * (sent.scale * world.radius) ** 2
    error = np.abs(found - exact).max(axis=(1, 2)) / np.abs(exact).max(axis=(1, 2))
    assert np.median(error) < 1e-3
    assert error.max() < 0.05


def test_rows_that_nobody_can_draw_are_not_sent() -> None:
    scene = blob(50)
    s = scene.splats
    means, logits, scales = s.means.copy(), s.logit_opacities.copy(), s.log_scales.copy()
    means[3], logits[5], scales[7] = np.nan, -20, 60
    broken = replace(scene, splats=replace(s, means=means, logit_opacities=logits, log_scales=scales))
    sent = browser_splats(broken, World(np.zeros(3), 1.0, np.array([0.0, -1, 0])))
    assert len(sent.centers) == 48
    assert np.isfinite(sent.covariances.astype(np.float16)).all()
    assert len(browser_splats(blob(0), World(np.zeros(3), 1.0, np.zeros(3))).centers) == 0
