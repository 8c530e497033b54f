"""Which way is up, from the flat Gaussians: walls are upright, floors are level.

A reconstruction's axes are often some ten or thirty degrees off the true vertical (structure from motion starts
from the first photo, whichever way that was held). A direction is a good vertical when many surface normals are at
right angles to it (walls) or along it (floors, tables), compared with normals that point anywhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gscompress.freespace import Surface

F64 = npt.NDArray[np.float64]
TILT = 40.0
"""Degrees; directions further from the frame's up are not considered."""
FLAT = 0.3
"""Shortest over middle axis below which a Gaussian has a normal worth using."""
WALL_WIDTH, FLOOR_WIDTH = 0.1, 0.01
"""Of the bumps around |cos| = 0 and |cos| = 1."""
ENOUGH = 2000
SURE = 1.15
"""How many times better than the frame's own up a tilted one must be."""


def guess_up(surface: Surface, focus: F64, radius: float, frame_up: F64) -> F64:
    """(3,): the best vertical within ``TILT`` of ``frame_up``, or ``frame_up`` when none is clearly better."""
    near = np.linalg.norm(surface.points - focus, axis=1) < 4 * radius
    normals = surface.normals[near & (surface.flatness < FLAT)]
    if len(normals) < ENOUGH:
        return frame_up
    normals = normals[:: 1 + len(normals) // (4 * ENOUGH)]
    tilted = _cap(frame_up, 700)
    score = _uprightness(tilted, normals)
    best = int(np.argmax(score * _trust(tilted, frame_up)))
    if score[best] < SURE * _uprightness(frame_up[None], normals)[0]:
        return frame_up
    return _polish(tilted[best], normals)


def _uprightness(ups: F64, normals: F64) -> F64:
    """(U,) 1 for normals that point anywhere, more for walls and floors."""
    along = np.abs(ups.astype(np.float32) @ normals.astype(np.float32).T)
    walls = np.exp(-0.5 * (along / WALL_WIDTH) ** 2).mean(axis=1) / (WALL_WIDTH * np.sqrt(np.pi / 2))
    floors = np.exp((along - 1) / FLOOR_WIDTH).mean(axis=1) / FLOOR_WIDTH
    return 0.9 * walls.astype(np.float64) + 0.1 * floors


def _trust(ups: F64, frame_up: F64) -> F64:
    """(U,) the frame's up is right more often than not."""
    return np.exp(-0.5 * (np.degrees(np.arccos(np.clip(ups @ frame_up, -1, 1))) / (2 * TILT)) ** 2)


def _cap(axis: F64, count: int) -> F64:
    """(count, 3) unit vectors spread evenly over the cap of ``TILT`` degrees around ``axis``, which comes first."""
    k = np.arange(count)
    z = 1 - (1 - np.cos(np.radians(TILT))) * k / (count - 1)
    r, turn = np.sqrt(np.maximum(1 - z * z, 0)), k * np.pi * (3 - np.sqrt(5))
    side = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    return np.stack([r * np.cos(turn), r * np.sin(turn), z], axis=1) @ np.stack([side, np.cross(axis, side), axis])


def _polish(up: F64, normals: F64) -> F64:
    """A few reweighted least-squares steps: at right angles to the walls nearby, along the floors nearby."""
    for _ in range(5):
        along = normals @ up
        wall = np.exp(-0.5 * (along / WALL_WIDTH) ** 2)
        floor = np.exp((np.abs(along) - 1) / FLOOR_WIDTH)
        spread = (normals * (wall - floor)[:, None]).T @ normals
        better = np.linalg.eigh(spread)[1][:, 0]
        up = better if better @ up > 0 else -better
    return up
