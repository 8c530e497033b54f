"""Small scenes whose motion is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gscompress.frame import matrix_to_quat, quat_to_matrix
from gscompress.scene import Scene, Splats

F64 = npt.NDArray[np.float64]


def shell(count: int = 2000, degree: int = 0, seed: int = 0) -> Scene:
    """A bumpy ellipsoid covered with flat, mostly opaque Gaussians whose colour follows the place."""
    rng = np.random.default_rng(seed)
    away = rng.normal(size=(count, 3))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    means = away * [1.0, 0.7, 0.5] * (1 + 0.1 * np.sin(5 * away[:, :1]))
    sh = 0.05 * rng.normal(size=(count, (degree + 1) ** 2, 3))
    sh[:, 0] = np.sin(3 * means) + 0.1 * rng.normal(size=(count, 3))
    splats = Splats(
        means.astype(np.float32),
        (np.log([0.04, 0.03, 0.01]) + 0.2 * rng.normal(size=(count, 3))).astype(np.float32),
        rng.normal(size=(count, 4)).astype(np.float32),
        rng.normal(2, 1, count).astype(np.float32),
        sh.astype(np.float32),
    )
    return Scene(splats)


def turned(scene: Scene, angle: float, growth: float = 1.0, shift: tuple[float, float, float] = (0, 0, 0)) -> Scene:
    """The whole turned about y by ``angle`` radians, grown and shifted."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return placed(scene, growth * scene.splats.means @ turn.T + np.array(shift), turn, growth)


def bent(scene: Scene, time: float) -> Scene:
    """Each slice along x turned about x by its own angle: a smooth motion that no rigid one equals."""
    means = scene.splats.means.astype(np.float64)
    angle = time * np.sin(2 * means[:, 0])
    c, s = np.cos(angle), np.sin(angle)
    zero, one = np.zeros_like(c), np.ones_like(c)
    rows = [[one, zero, zero], [zero, c, -s], [zero, s, c]]
    turn = np.moveaxis(np.array(rows), 2, 0)
    return placed(scene, np.einsum("nij,nj->ni", turn, means), turn, 1.0)


def placed(scene: Scene, means: F64, turn: F64, growth: float) -> Scene:
    """New means (N, 3), rotations turned by (3, 3) or (N, 3, 3), scales grown."""
    splats = scene.splats
    quats = matrix_to_quat(turn @ quat_to_matrix(splats.quats))
    scales = splats.log_scales + np.float32(np.log(growth))
    new = replace(splats, means=means.astype(np.float32), quats=quats.astype(np.float32), log_scales=scales)
    return replace(scene, splats=new)


def shuffled(scene: Scene, seed: int = 1) -> Scene:
    order = np.random.default_rng(seed).permutation(len(scene))
    return replace(scene, splats=scene.splats.take(order))


def golden_frames() -> list[Scene]:
    """Five frames in which everything that a residual frame can say is said. Never change them."""
    whole = shell(1100, 1)
    brighter = replace(whole, splats=replace(whole.splats, sh=whole.splats.sh + np.float32(0.2)))
    fewer = replace(brighter, splats=brighter.splats.take(slice(60, None)))
    return [whole, bent(whole, 0.15), turned(bent(fewer, 0.3), 0.1, 1.05), bent(whole, 0.4), bent(brighter, 0.4)]


def growing(scene: Scene, growth: float) -> Scene:
    """The right half grows where it stands."""
    larger = placed(scene, scene.splats.means, np.eye(3), growth).splats.log_scales
    scales = np.where(scene.splats.means[:, :1] > 0, larger, scene.splats.log_scales)
    return replace(scene, splats=replace(scene.splats, log_scales=scales))


def golden_growing_frames() -> list[Scene]:
    """Five frames that need other precision from frame to frame, for version 2 of the codec. Never change them."""
    whole = shell(1100, 1)
    frames = [growing(bent(whole, 0.1 * t), 2.0**t) for t in range(5)]
    frames[3] = replace(frames[3], splats=frames[3].splats.take(slice(60, None)))
    return frames
