"""Where training starts: one Gaussian per sparse point, or a random cloud in front of the cameras."""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.errors import UsageError
from gscompress.scene import Scene, Splats
from gscompress.sh import C0

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
OPACITY = 0.1
_NEAREST = 3


def from_points(points: npt.NDArray[np.floating], colours: U8, degree: int = 3) -> Scene:
    """A round Gaussian per point (Kerbl et al. 2023): opacity 0.1, as large as its three nearest neighbours are far.

    points: (P, 3). colours: (P, 3) uint8. Raises UsageError without finite points.
    """
    finite = np.isfinite(points).all(1)
    # Where many points coincide their distance is no size.
    where, first = np.unique(points[finite].astype(np.float32), axis=0, return_index=True)
    if len(where) <= _NEAREST:
        raise UsageError(f"training needs more than {_NEAREST} sparse points to start from, there are {len(where)}")
    by_x = np.argsort(where[:, 0], kind="stable")
    means, tint = where[by_x], colours[finite][first][by_x]
    size = np.log(np.maximum(_spacing(means), 1e-7))
    sh = np.zeros((len(means), (degree + 1) ** 2, 3), np.float32)
    sh[:, 0] = (tint / np.float32(255) - 0.5) / C0
    quats = np.zeros((len(means), 4), np.float32)
    quats[:, 0] = 1
    logits = np.full(len(means), np.log(OPACITY / (1 - OPACITY)), np.float32)
    return Scene(Splats(means, np.repeat(size[:, None], 3, 1).astype(np.float32), quats, logits, sh))


def random_points(cameras: Sequence[Camera], count: int, seed: int) -> tuple[F64, U8]:
    """Grey points in a ball around what the cameras look at, for datasets without sparse points."""
    positions = np.array([camera.position for camera in cameras])
    forward = np.array([camera.w2c[2, :3] for camera in cameras])
    # The point nearest to all optical axes; a little of the identity decides where they are parallel.
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    pull = across.sum(0) + 1e-6 * np.eye(3)
    centre = np.linalg.solve(pull, (across @ positions[:, :, None]).sum(0)[:, 0] + 1e-6 * positions.mean(0))
    radius = 0.5 * float(np.median(np.linalg.norm(positions - centre, axis=1))) or 1.0
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points = centre + radius * np.cbrt(rng.random((count, 1))) * directions
    return points, np.full((count, 3), 128, np.uint8)


def extent(cameras: Sequence[Camera]) -> float:
    """The size of a scene by its cameras: 1.1 times the largest distance from their centre (Kerbl et al. 2023)."""
    positions = np.array([camera.position for camera in cameras])
    return 1.1 * float(np.linalg.norm(positions - positions.mean(0), axis=1).max()) or 1.0


@nb.njit(cache=True, nogil=True)
def _spacing(points: F32) -> F32:
    """(P,) root mean square distance to the three nearest others. points: in order of x, so that a walk to both sides
    may end where x alone is too far."""
    count = len(points)
    out = np.empty(count, np.float32)
    for i in range(count):
        best = np.full(_NEAREST, np.inf)
        for step in (-1, 1):
            j = i + step
            while 0 <= j < count:
                dx = np.float64(points[j, 0]) - points[i, 0]
                if dx * dx >= best[2]:
                    break
                dy, dz = points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
                d = dx * dx + dy * dy + dz * dz
                if d < best[2]:
                    best[2] = d
                    if best[2] < best[1]:
                        best[1], best[2] = best[2], best[1]
                    if best[1] < best[0]:
                        best[0], best[1] = best[1], best[0]
                j += step
        out[i] = np.sqrt(best.mean())
    return out
