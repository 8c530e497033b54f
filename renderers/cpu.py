"""The CPU renderer: numba kernels, float32, 16x32-pixel tiles, all cores; same picture on every run.

Gaussians are projected, sorted by view depth (ties by index), listed per tile and blended front to back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.errors import UsageError
from gscompress.kernels.cpu_bin import bin_tiles
from gscompress.kernels.cpu_blend import TILE_H, TILE_W, blend
from gscompress.kernels.cpu_blend_grad import SUMS, blend_grad
from gscompress.kernels.cpu_colours import add_colours, blend_colours
from gscompress.kernels.cpu_judge import judge
from gscompress.kernels.cpu_project import CAMERA, ROW, project
from gscompress.kernels.cpu_project_grad import project_grad
from gscompress.kernels.cpu_removal import removal
from gscompress.kernels.cpu_squares import SQUARES, project_squares
from gscompress.kernels.cpu_threads import cores, parts, run
from gscompress.renderers.base import F32, Gradients, Image
from gscompress.scene import Scene

PARTS = 8  # parts per thread, so that a thread that is done early finds more work


@dataclass(frozen=True, slots=True)
class View:
    """One picture and what pulling gradients back through it needs.

    model: camera vector, mip flag, SH bands and the five stored arrays, as ``project`` takes them.
    rows: (N, 16) packed. order: (V,) drawn Gaussians by depth. used: (tiles,) Gaussians walked.
    lists: tile columns, then offsets, ids and slots of ``bin_tiles``, then rows by depth. total: (N + 1,) of it too.
    """

    image: Image
    model: tuple[Any, ...]
    rows: F32
    order: npt.NDArray[np.uint32]
    lists: tuple[Any, ...]
    total: npt.NDArray[np.int64]
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
        return self.view(scene, camera, background=background, sh_degree=sh_degree).image

    def render_with_grad(
        self,
        scene: Scene,
        camera: Camera,
        image_grad: Callable[[Image], F32],
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        sh_degree: int | None = None,
    ) -> tuple[Image, Gradients]:
        """Render and pull ``image_grad(image)`` back; see ``renderers.base.Renderer``."""
        view = self.view(scene, camera, background=background, sh_degree=sh_degree)
        return view.image, self.pull_back(view, image_grad(view.image))

    def removal_error(
        self,
        scene: Scene,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        wanted: npt.NDArray[Any] | None = None,
    ) -> F32:
        """(N,) what removing that Gaussian alone adds to the picture's summed squared RGB error, in one pass.

        wanted: (H, W, 3) what the picture should be, None for what it is; where it is off already, errors of the same
        sign add up and others cancel (so that a value may be negative). Exact but for pixels that the Gaussian's
        absence would let see past the stop at T < 1e-4. Raises UsageError if the shape of ``wanted`` differs.
        """
        return self.removal_of(self.view(scene, camera, background=background), wanted)

    def removal_of(self, view: View, wanted: npt.NDArray[Any] | None = None) -> F32:
        """``removal_error`` of a view."""
        errors = np.empty(view.total[-1], np.float32)
        fixed = (*view.lists, view.image.rgb, _off(view, wanted), view.used, errors)
        run(removal, [(*span, *fixed) for span in self._parts(len(view.used))], self.threads)
        return _per_gaussian(view, errors)

    def judge(self, view: View, grad: F32, wanted: npt.NDArray[Any] | None = None) -> tuple[F32, F32]:
        """``removal_of`` and ``squares`` of a view, in less time than both."""
        errors = np.empty(view.total[-1], np.float32)
        sums = np.empty((view.total[-1], SUMS), np.float32)
        fixed = (*view.lists, view.image.rgb, _fitting(grad, view), _off(view, wanted), view.used, sums, errors)
        run(judge, [(*span, *fixed) for span in self._parts(len(view.used))], self.threads)
        return _per_gaussian(view, errors), self._squares(view, sums)

    def view(
        self,
        scene: Scene,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        sh_degree: int | None = None,
    ) -> View:
        """Render and keep what ``pull_back`` needs, for several gradients of the same picture."""
        splats = scene.splats
        if sh_degree not in (None, 0, 1, 2, 3):
            raise UsageError(f"sh_degree is {sh_degree}: expected 0 to 3, or None for all")
        degree = splats.sh_degree if sh_degree is None else min(sh_degree, splats.sh_degree)
        stored = (splats.means, splats.log_scales, splats.quats, splats.logit_opacities, splats.sh)
        arrays = [np.ascontiguousarray(array) for array in stored]
        model = (camera_vector(camera), scene.model == "mip", (degree + 1) ** 2, *arrays)
        rows, keys = np.empty((len(splats), ROW), np.float32), np.empty(len(splats), np.uint32)
        run(project, [(*span, *model, rows, keys) for span in self._parts(len(splats))], self.threads)
        order = depth_order(keys)
        columns, bands = -(-camera.width // TILE_W), -(-camera.height // TILE_H)
        sorted_rows = np.empty((len(order), ROW), np.float32)
        spans = self._parts(len(order))
        run(np.take, [(rows, order[a:b], 0, sorted_rows[a:b], "clip") for a, b in spans], self.threads)
        offsets, ids, slots, total = bin_tiles(order, sorted_rows, len(rows), columns, bands, self.threads)
        shape = camera.height, camera.width
        image = Image(np.empty((*shape, 3), np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32))
        used, colour = np.empty(columns * bands, np.int64), np.asarray(background, np.float32)
        out = (columns, offsets, ids, sorted_rows, colour, image.rgb, image.alpha, image.depth, used)
        run(blend, [(*span, *out) for span in self._parts(len(used))], self.threads)
        lists = (columns, offsets, ids, slots, sorted_rows)
        return View(image, model, rows, order, lists, total, used)

    def pull_back(self, view: View, grad: F32) -> Gradients:
        """Vector-Jacobian product of dL/d rgb (H, W, 3) with a view. Raises UsageError if the shape differs."""
        sums = self._pair_sums(view, grad)
        stored = view.model[3:]
        means, log_scales, quats, logit_opacities, sh = (np.zeros_like(array) for array in stored)
        out = Gradients(
            means,
            log_scales,
            quats,
            logit_opacities,
            sh,
            means2d=np.zeros((len(view.rows), 2), np.float32),
            contribution=np.zeros(len(view.rows), np.float32),
        )
        arrays = tuple(getattr(out, field.name) for field in fields(out))
        tail = (*view.model, view.rows, view.total, sums, arrays)
        run(project_grad, [(*span, *tail) for span in self._parts(len(view.rows))], self.threads)
        return out

    def squares(self, view: View, grad: F32) -> F32:
        """(N, SQUARES) squares of ``pull_back``'s gradients in each Gaussian's own axes, see ``cpu_squares``."""
        return self._squares(view, self._pair_sums(view, grad))

    def _squares(self, view: View, sums: F32) -> F32:
        out = np.empty((len(view.rows), SQUARES), np.float32)
        tail = (*view.model, view.rows, view.total, sums, out)
        run(project_squares, [(*span, *tail) for span in self._parts(len(view.rows))], self.threads)
        return out

    def colour_sums(self, view: View, grad: F32) -> F32:
        """(pairs, 3) what ``add_colours`` needs to know of dL/d rgb (H, W, 3)."""
        sums = np.empty((view.total[-1], 3), np.float32)
        fixed = (*view.lists, _fitting(grad, view), view.used, sums)
        run(blend_colours, [(*span, *fixed) for span in self._parts(len(view.used))], self.threads)
        return sums

    def add_colours(self, view: View, sums: F32, out: F32) -> None:
        """Add ``pull_back``'s gradient by SH to ``out`` (N, K, 3); in half the time, since shapes stand still."""
        camera, _, bands, means, *_ = view.model
        fixed = (camera, bands, means, view.rows, view.total, sums, out)
        run(add_colours, [(*span, *fixed) for span in self._parts(len(view.rows))], self.threads)

    def _pair_sums(self, view: View, grad: F32) -> F32:
        """(pairs, SUMS) of ``blend_grad``."""
        grad = _fitting(grad, view)
        sums = np.empty((view.total[-1], SUMS), np.float32)
        fixed = (*view.lists, view.image.rgb, grad, view.used, sums)
        run(blend_grad, [(*span, *fixed) for span in self._parts(len(view.used))], self.threads)
        return sums

    def _parts(self, count: int) -> list[tuple[int, int]]:
        return parts(count, 1 if self.threads == 1 else self.threads * PARTS)


def _fitting(grad: F32, view: View) -> F32:
    """A gradient that the kernels can read. Raises UsageError if it is not as large as the picture."""
    if grad.shape != view.image.rgb.shape:
        raise UsageError(f"image gradient is {grad.shape}, expected {view.image.rgb.shape}")
    return np.ascontiguousarray(grad, np.float32)


def _off(view: View, wanted: npt.NDArray[Any] | None) -> F32:
    """How far the picture is from the wanted one. Raises UsageError if that is of another size."""
    picture = view.image.rgb
    if wanted is None:
        return np.zeros_like(picture)
    if wanted.shape != picture.shape:
        raise UsageError(f"the wanted picture is {wanted.shape}, expected {picture.shape}")
    return picture - wanted.astype(np.float32)


def _per_gaussian(view: View, of_pairs: F32) -> F32:
    """Sums over each Gaussian's tiles."""
    whose = np.repeat(np.arange(len(view.rows)), np.diff(view.total))
    return np.bincount(whose, weights=of_pairs, minlength=len(view.rows)).astype(np.float32)
