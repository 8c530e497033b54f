"""The CPU renderer: numba kernels, float32, 16x32-pixel tiles, all cores; same picture on every run.

Gaussians are projected, sorted by view depth (ties by index), listed per tile and blended front to back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gscompress.kernels.cpu_bin import bin_tiles
from gscompress.kernels.cpu_blend import TILE_H, TILE_W, blend
from gscompress.kernels.cpu_project import CAMERA, ROW, project
from gscompress.kernels.cpu_threads import cores, parts, run
from gscompress.renderers.base import F32, Image

from gscompress.camera import Camera
from gscompress.errors import UsageError
from gscompress.scene import Scene

PARTS = 8  # parts per thread, so that a thread that is done early finds more work


@dataclass(frozen=True, slots=True)
class View:
    """One picture and what its gradients need: packed rows, their depth order, tile lists (see the kernels)."""

    image: Image
    cam: npt.NDArray[np.float64]
    bands: int
    background: F32
    rows: F32
    order: npt.NDArray[np.uint32]
    columns: int
    offsets: npt.NDArray[np.int64]
    ids: npt.NDArray[np.uint32]
    total: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]


def camera_vector(camera: Camera) -> npt.NDArray[np.float64]:
    """The camera as the kernels take it; the last four entries are gsplat's limits of the view tangent."""
    margin_x, margin_y = 0.15 * camera.width / camera.fx, 0.15 * camera.height / camera.fy
    out = np.empty(CAMERA)
    out[:7] = camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height, camera.near
    out[7:19] = camera.w2c[:3].ravel()
    out[19:22] = camera.position
    out[22:24] = camera.cx / camera.fx + margin_x, (camera.width - camera.cx) / camera.fx + margin_x
    out[24:26] = camera.cy / camera.fy + margin_y, (camera.height - camera.cy) / camera.fy + margin_y
    return out


def depth_order(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Rows with a key, by key, ties by row number (a positive float's bits sort like the float)."""
    drawn = np.flatnonzero(keys)
    both = (keys[drawn].astype(np.uint64) << np.uint64(32)) | drawn.astype(np.uint64)
    both.sort()
    return both.astype(np.uint32)


class CpuRenderer:
    """Renderer on the CPU. threads: worker threads, all cores by default (the picture does not depend on it)."""

    name = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}: expected at least 1")
        self.threads = threads or cores()

    def render(
        self,
        scene: Scene,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        sh_degree: int | None = None,
    ) -> Image:
        """Render one view; see ``renderers.base.Renderer``."""
        return self._view(scene, camera, background, sh_degree).image

    def _view(
        self, scene: Scene, camera: Camera, background: tuple[float, float, float], sh_degree: int | None
    ) -> View:
        splats = scene.splats
        degree = splats.sh_degree if sh_degree is None else min(sh_degree, splats.sh_degree)
        cam, bands = camera_vector(camera), (degree + 1) ** 2
        rows, keys = np.empty((len(splats), ROW), np.float32), np.empty(len(splats), np.uint32)
        arrays = [
            np.ascontiguousarray(a)
            for a in (splats.means, splats.log_scales, splats.quats, splats.logit_opacities, splats.sh)
        ]
        fixed: tuple[Any, ...] = (cam, scene.model == "mip", bands, *arrays, rows, keys)
        run(project, [(*span, *fixed) for span in self._parts(len(splats))], self.threads)
        order = depth_order(keys)
        columns, tile_rows = -(-camera.width // TILE_W), -(-camera.height // TILE_H)
        offsets, ids, total, slots = bin_tiles(order, rows, columns, tile_rows, self.threads)
        shape = camera.height, camera.width
        image = Image(np.empty((*shape, 3), np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32))
        used, colour = np.empty(columns * tile_rows, np.int64), np.asarray(background, np.float32)
        out = (columns, offsets, ids, rows, colour, image.rgb, image.alpha, image.depth, used)
        run(blend, [(*span, *out) for span in self._parts(len(used))], self.threads)
        return View(image, cam, bands, colour, rows, order, columns, offsets, ids, total, slots, used)

    def _parts(self, count: int) -> list[tuple[int, int]]:
        return parts(count, 1 if self.threads == 1 else self.threads * PARTS)
