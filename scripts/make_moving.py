"""Make a tracked sequence from a still scene: every frame the same Gaussians in the same order, bent by smooth waves.

    python scripts/make_moving.py SCENE OUT_FOLDER [--frames 50] [--gaussians 50000] [--format npz]

The scene is cropped to its Gaussians nearest to where the views look. A slow sway of the whole, and three waves that
travel through it, move the means; rotations follow the local turn of the motion, scales its local stretch.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gscompress import formats
from gscompress.frame import matrix_to_quat, quat_to_matrix
from gscompress.scene import Scene
from gscompress.viewpoints import study

F64 = npt.NDArray[np.float64]
WAVES = ((0.030, 1.1, 1.0), (0.020, 2.3, 2.0), (0.008, 4.1, 3.0))
"""Amplitude in radii, waves per radius, turns of the phase in 100 frames."""


def cropped(scene: Scene, gaussians: int) -> tuple[Scene, F64, float]:
    """The ``gaussians`` nearest to the focus, in their order; focus (3,) and radius."""
    subject = study(scene)
    focus = subject.focus
    away = np.linalg.norm(scene.splats.means - focus, axis=1)
    nearest = np.sort(np.argsort(away, kind="stable")[:gaussians])
    kept = scene.splats.take(nearest)
    return replace(scene, splats=replace(kept, extras={})), focus, float(np.quantile(away[nearest], 0.9))


def field(points: F64, time: float) -> F64:
    """Where points (N, 3), in radii from the focus, are after ``time`` (1 = 100 frames)."""
    sway = 0.15 * np.sin(2 * np.pi * time)
    turn = np.array([[np.cos(sway), 0, np.sin(sway)], [0, 1, 0], [-np.sin(sway), 0, np.cos(sway)]])
    out = points @ turn.T
    for k, (amplitude, waves, speed) in enumerate(WAVES):
        phase = 2 * np.pi * (waves * points[:, [(k + 1) % 3]] - speed * time) + k
        rest = 2 * np.pi * waves * points[:, [(k + 1) % 3]] + k
        direction = np.roll([0.8, 0.6, 0.0], k)
        out = out + amplitude * (np.sin(phase) - np.sin(rest)) * direction
    return out


def moved(scene: Scene, focus: F64, radius: float, time: float) -> Scene:
    """The scene at ``time``; 0 is the scene itself."""
    splats = scene.splats
    local, h = (splats.means.astype(np.float64) - focus) / radius, 1e-4
    here = field(local, time)
    jacobian = np.stack([(field(local + h * np.eye(3)[k], time) - here) / h for k in range(3)], axis=2)
    u, _, vt = np.linalg.svd(jacobian)
    turn = u @ vt
    axes = turn @ quat_to_matrix(splats.quats)
    stretch = np.linalg.norm(jacobian @ quat_to_matrix(splats.quats), axis=1)
    new = replace(
        splats,
        means=(here * radius + focus).astype(np.float32),
        quats=matrix_to_quat(axes).astype(np.float32),
        log_scales=(splats.log_scales + np.log(stretch)).astype(np.float32),
    )
    return replace(scene, splats=new)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--gaussians", type=int, default=50_000)
    parser.add_argument("--format", default="npz")
    given = parser.parse_args()
    scene, focus, radius = cropped(formats.read(given.scene), given.gaussians)
    given.folder.mkdir(parents=True, exist_ok=True)
    for frame in range(given.frames):
        path = given.folder / f"frame_{frame:04d}.{given.format}"
        formats.write(moved(scene, focus, radius, frame / 100), path)


if __name__ == "__main__":
    main()
