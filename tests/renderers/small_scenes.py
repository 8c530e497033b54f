"""Small synthetic scenes with the statistics of trained ones: flat, thin, mostly faint or mostly opaque Gaussians."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gscompress.camera import Camera, look_at
from gscompress.scene import Model, Scene, Splats


def blob(n: int, seed: int = 0, degree: int = 3, model: Model = "3dgs", size: float = 0.06) -> Scene:
    """n Gaussians around the origin, standard deviation about ``size``, quaternions of varying length."""
    rng = np.random.default_rng(seed)
    bands = (degree + 1) ** 2
    sh = rng.normal(0, 0.25 / np.sqrt(np.arange(1, bands + 1))[:, None], (n, bands, 3))
    sh[:, 0] = rng.normal(0.3, 0.9, (n, 3))
    splats = Splats(
        rng.normal(0, 0.5, (n, 3)).astype(np.float32),
        rng.normal(np.log(size), 0.8, (n, 3)).astype(np.float32),
        (rng.normal(size=(n, 4)) * rng.uniform(0.5, 2, (n, 1))).astype(np.float32),
        rng.normal(0.5, 2.5, n).astype(np.float32),
        sh.astype(np.float32),
    )
    return Scene(splats, model=model)


def camera(width: int = 53, height: int = 41, distance: float = 2.5, focal: float = 1.0) -> Camera:
    """Looks at the origin from the side, principal point off the middle, fx and fy not equal."""
    eye = distance * np.array([0.48, -0.6, 0.64])
    w2c = look_at(eye, np.array([0.05, 0.0, -0.02]), np.array([0.0, 0.0, 1.0]))
    return Camera(width, height, focal * width, focal * width * 1.05, width * 0.47, height * 0.55, w2c)


def with_splats(scene: Scene, **arrays: np.ndarray) -> Scene:
    """The scene with some attribute arrays replaced."""
    return replace(scene, splats=replace(scene.splats, **arrays))
