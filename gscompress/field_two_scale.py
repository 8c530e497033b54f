"""VQ-NeRF's idea for fields as they are (arXiv 2310.14487): render few rays, decode the rest with a codebook.

The paper trains a field of latent features together with the decoder of a vector-quantised auto-encoder, at two scales.
Here the field stays as it is, and its own picture on a coarse grid of pixels is the latent: the neighbourhood of every
grid pixel goes to the nearest code, and the code's linear map gives the pixels around it. Codes and maps are fitted to
whole renders of a few views, no photos. The second scale is the picture's own: where the codes expect the largest
errors, rays are traced after all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from dataclasses import field as with_default
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gscompress.camera import Camera
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.field import Field
from gscompress.quant.vector import Codebook, assign, fit_kmeans
from gscompress.renderers.base import Image
from gscompress.renderers.volume import VolumeRenderer, trace_all
from gscompress.renderers.volume_math import Rays, rays_of

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
REACH = 2
"""A neighbourhood is the 5x5 grid pixels around one."""
FACTORS = (1, 2, 3, 4)
PRESETS = {"vq-nerf": (2, 0.1), "vq-nerf-quarter": (4, 0.1)}
"""Factor, and the share of cells that are traced in full."""
_SHOWN = 6  # views to one that a preset is fitted to
_MOST = 4  # that a preset is fitted to
_FLAT = 0.05  # contrasts (0 to 1, root of the sum of squares) well below this are all the same to the codes
_RIDGE = 1500  # mean neighbourhoods: what holds a map to that of all codes, and that one to bicubic
_CELLS = 60_000  # neighbourhoods that a decoder is fitted to, at most


@dataclass(frozen=True)
class Decoder:
    """Grid pixels to all pixels. A cell is the factor x factor pixels that one grid pixel stands for.

    codes: (K, 25) neighbourhoods, less their middle, over their contrast. maps: (K, 25, factor^2) from differences to
    the middle pixel to differences of the cell's pixels to it. errors: (K,) mean squared error per squared contrast.
    """

    factor: int
    codes: Codebook
    maps: F32
    errors: F32

    def decode(self, grid: F32, backdrop: float = 0.0) -> tuple[F32, F32]:
        """(h, w, 5) of colour, alpha and depth on the grid to (h f, w f, 5), and (h, w) expected squared errors.

        backdrop: the grey that colours are laid over to choose codes.
        """
        h, w, channels = grid.shape
        near = _neighbourhoods(grid)
        shapes, contrasts = _shapes(near, backdrop)
        chosen = assign(shapes, self.codes)
        cells = np.empty((h * w, channels, self.factor**2), np.float32)
        order = np.argsort(chosen, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(chosen[order])) + 1):
            cells[rows] = near[rows] @ self.maps[chosen[rows[0]]]
        cells += grid.reshape(h * w, channels, 1)
        cells[:, :, _middle(self.factor)] = grid.reshape(h * w, channels)
        cells[:, 3] = cells[:, 3].clip(0, 1)
        return _laid_out(cells, h, w), (self.errors[chosen] * contrasts**2).reshape(h, w)


def preset(name: str, field: Field, cameras: Sequence[Camera], log: EventLog | None = None) -> TwoScaleRenderer:
    """The renderer of a preset, fitted to some of the views it is wanted for: one in six, four at most.

    Its ``rays`` begin with those of the fit. Raises UsageError for unknown names.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no rendering preset '{name}': give {' or '.join(PRESETS)}")
    factor, fine = PRESETS[name]
    count = min(_MOST, max(1, len(cameras) // _SHOWN))
    shown = [cameras[i] for i in np.linspace(0, len(cameras) - 1, count).round().astype(int)]
    renderer = TwoScaleRenderer(fit(field, shown, factor, log=log), fine)
    renderer.rays = sum(camera.width * camera.height for camera in shown)
    return renderer


def bicubic(factor: int) -> Decoder:
    """The decoder of one code that interpolates (Keys 1981, a = -1/2)."""
    places = (np.arange(factor) - (factor - 1) // 2) / factor
    distance = np.abs(places[None] - np.arange(-REACH, REACH + 1)[:, None])
    inner = 1.5 * distance**3 - 2.5 * distance**2 + 1
    outer = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    taps = np.where(distance < 1, inner, np.where(distance < 2, outer, 0))
    map_ = np.einsum("ay,bx->abyx", taps, taps).reshape(1, -1, factor**2).astype(np.float32)
    return Decoder(factor, Codebook(np.zeros((1, map_.shape[1]), np.float32)), map_, np.ones(1, np.float32))


def fit(
    field: Field,
    cameras: Sequence[Camera],
    factor: int = 2,
    codes: int = 128,
    *,
    seed: int = 0,
    log: EventLog | None = None,
) -> Decoder:
    """Fit a decoder to whole renders of ``cameras``, best of the size that is rendered later.

    Raises UsageError for factors not from 1 to 4, codes not from 1 to 4096, no cameras, or such of fewer pixels a side
    than the factor.
    """
    if factor not in FACTORS or not 1 <= codes <= 4096:
        raise UsageError(f"two-scale rendering takes factors from 1 to 4 and 1 to 4096 codes, not {factor} and {codes}")
    if not cameras or min(min(c.width, c.height) for c in cameras) < factor:
        raise UsageError(f"a decoder is fitted to one view or more, of at least {factor} pixels a side")
    renderer = VolumeRenderer()
    backdrop = float(renderer.model(field).white)
    pictures = []
    with (log or EventLog()).phase("fit the decoder", len(cameras)) as done:
        for camera in cameras:
            pictures.append(renderer.render(field, camera, background=(backdrop,) * 3).rgb)
            done(1)
    return fit_to(pictures, factor, codes, seed=seed)


def fit_to(pictures: Sequence[F32], factor: int, codes: int, *, seed: int = 0) -> Decoder:
    """The decoder of these pictures (H, W, 3), none smaller than the factor."""
    near, wanted = (np.concatenate(parts) for parts in zip(*(_lessons(p, factor) for p in pictures)))
    rows = np.random.default_rng(seed).permutation(len(near))[:_CELLS]
    near, wanted = near[rows], wanted[rows]
    shapes, contrasts = _shapes(near, 0.0)
    book = fit_kmeans(shapes, codes, weights=contrasts + 1e-6, iterations=15, seed=seed)
    chosen = assign(shapes, book)
    ridge = _RIDGE * float(np.square(near).mean())
    mean = _regressed(near, wanted, bicubic(factor).maps[0], ridge)
    maps, errors = np.empty((len(book.codes), *mean.shape), np.float32), np.zeros(len(book.codes), np.float32)
    for code in range(len(maps)):
        members = chosen == code
        maps[code] = _regressed(near[members], wanted[members], mean, ridge)
        rest = np.square(wanted[members] - near[members] @ maps[code]).mean() if members.any() else 0.0
        errors[code] = rest / max(float(np.square(contrasts[members]).mean()) if members.any() else 1.0, 1e-12)
    return Decoder(factor, book, maps, errors)


@dataclass
class TwoScaleRenderer:
    """Camera + field → picture from a share of its rays. ``rays`` counts those traced so far.

    fine: share of the cells, those of the largest expected errors, whose pixels are all traced, 0 to 1 (1: the whole
    picture, exactly). Pixels of the grid are always traced. Raises UsageError for shares outside.
    """

    decoder: Decoder
    fine: float = 0.1
    rays: int = with_default(default=0, init=False)
    name: str = with_default(default="vq-nerf", init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.fine <= 1:
            raise UsageError(f"the share of cells traced in full goes from 0 to 1, not {self.fine:g}")
        self._volume = VolumeRenderer()

    def render(self, field: Field, camera: Camera, *, background: tuple[float, float, float] | None = None) -> Image:
        """Render one view; as ``VolumeRenderer.render``."""
        factor, white = self.decoder.factor, float(self._volume.model(field).white)
        h, w = math.ceil(camera.height / factor), math.ceil(camera.width / factor)
        # The last cells may reach out of the picture: the grid's pixels there are traced too.
        whole = rays_of(replace(camera, width=w * factor, height=h * factor))
        whole = Rays(whole.origins, whole.directions, rays_of(camera).window)
        numbers = np.arange(h * w * factor**2).reshape(h * factor, w * factor)
        middle = (factor - 1) // 2
        grid = self._trace(field, whole, numbers[middle::factor, middle::factor].ravel()).reshape(h, w, 5)
        picture, expected = self.decoder.decode(grid, white)
        count = round(self.fine * h * w)
        if count and factor > 1:
            worst = np.zeros(h * w, bool)
            worst[np.argsort(-expected.ravel(), kind="stable")[:count]] = True
            again = np.kron(worst.reshape(h, w), np.ones((factor, factor), bool))
            again[middle::factor, middle::factor] = False
            again[camera.height :], again[:, camera.width :] = False, False
            picture[again] = self._trace(field, whole, numbers[again])
        picture = picture[: camera.height, : camera.width]
        alpha = np.ascontiguousarray(picture[..., 3])
        colour = np.asarray(background if background is not None else (white,) * 3, np.float32)
        rgb = np.maximum(picture[..., :3] + (1 - alpha[..., None]) * colour, 0)
        return Image(np.ascontiguousarray(rgb, np.float32), alpha, np.maximum(picture[..., 4], 0))

    def _trace(self, field: Field, rays: Rays, numbers: I64) -> F32:
        """(R, 5) colour, alpha and depth of the rays of these numbers."""
        self.rays += len(numbers)
        if not len(numbers):
            return np.zeros((0, 5), np.float32)
        traced = trace_all(self._volume.model(field), rays.take(torch.from_numpy(numbers)))
        return torch.cat([traced.rgb, traced.alpha[:, None], traced.depth[:, None]], -1).numpy()


def _regressed(near: F32, wanted: F32, start: F32, ridge: float) -> F32:
    """(25, factor^2) the map of least squares, held to ``start``."""
    x, y = near.reshape(-1, start.shape[0]), wanted.reshape(-1, start.shape[1])
    square = x.T @ x + max(ridge, 1e-6) * np.eye(len(start), dtype=np.float32)
    return start + np.linalg.solve(square, x.T @ (y - x @ start)).astype(np.float32)


def _middle(factor: int) -> int:
    """Which of a cell's pixels, row by row, the grid has."""
    return (factor - 1) // 2 * (factor + 1)


def _lessons(picture: F32, factor: int) -> tuple[F32, F32]:
    """Neighbourhoods (C, 3, 25) of a picture's grid, and their cells' pixels (C, 3, factor^2) less the middle one."""
    h, w = (size // factor for size in picture.shape[:2])
    cells = picture[: h * factor, : w * factor].reshape(h, factor, w, factor, 3).transpose(0, 2, 4, 1, 3)
    cells = cells.reshape(h * w, 3, factor**2)
    middle = cells[:, :, _middle(factor)]
    return _neighbourhoods(middle.reshape(h, w, 3)), cells - middle[:, :, None]


def _neighbourhoods(grid: F32) -> F32:
    """(h, w, C) to (h w, C, 25) differences to the middle; the border repeats outwards."""
    h, w, channels = grid.shape
    padded = np.pad(grid, ((REACH, REACH), (REACH, REACH), (0, 0)), mode="edge")
    side = 2 * REACH + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1))
    return windows.reshape(h * w, channels, side * side) - grid.reshape(h * w, channels, 1)


def _shapes(near: F32, backdrop: float) -> tuple[F32, F32]:
    """(N, 25) grey neighbourhoods over their contrast, and the contrasts (N,).

    near: (N, 3, 25), or (N, 5, 25) where the fourth is alpha, which colours over ``backdrop`` lose.
    """
    grey: npt.NDArray[Any] = near[:, :3].mean(1)
    if near.shape[1] > 3:
        grey = grey - backdrop * near[:, 3]
    contrasts = np.sqrt(np.square(grey).sum(1))
    return grey / (contrasts + _FLAT)[:, None], contrasts


def _laid_out(cells: F32, h: int, w: int) -> F32:
    """(h w, C, factor^2) cells side by side: (h factor, w factor, C)."""
    factor, channels = math.isqrt(cells.shape[2]), cells.shape[1]
    whole = cells.reshape(h, w, channels, factor, factor).transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(whole.reshape(h * factor, w * factor, channels))
