"""Two scenes seen through the same cameras: what the second lost against the first, and against photos."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.metrics import eight_bit, psnr, ssim
from gscompress.metrics.lpips import lpips
from gscompress.metrics.ssim import RADIUS
from gscompress.scene import Scene

if TYPE_CHECKING:
    from gscompress.renderers.base import Renderer

U8 = npt.NDArray[np.uint8]
Colour = tuple[float, float, float]
VISIBLE = 1 / 255
"""Alpha below this everywhere means that a camera shows nothing of the scene."""


@dataclass(frozen=True, slots=True)
class Score:
    """Of two 8-bit pictures: psnr in dB (infinite when equal), ssim (None under 11x11 pixels), lpips (if asked)."""

    psnr: float
    ssim: float | None
    lpips: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; an infinite PSNR becomes None, with ``identical`` set."""
        out: dict[str, Any] = {"psnr": _finite(self.psnr), "identical": math.isinf(self.psnr), "ssim": self.ssim}
        return out if self.lpips is None else {**out, "lpips": self.lpips}


@dataclass(frozen=True, slots=True)
class ViewScore:
    """One camera: decoded against reference; with photos also each of the two against the photo."""

    camera: Camera
    score: Score
    reference_photo: Score | None = None
    decoded_photo: Score | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The scores of all views, in the order of the cameras."""

    views: tuple[ViewScore, ...]

    @property
    def mean(self) -> Score:
        """Averages over views of decoded against reference."""
        return average([view.score for view in self.views])

    @property
    def worst(self) -> ViewScore:
        """The view with the lowest PSNR."""
        return min(self.views, key=lambda view: view.score.psnr)

    @property
    def photos(self) -> tuple[Score, Score] | None:
        """Averages of reference and decoded against the photos; None without photos."""
        before = [view.reference_photo for view in self.views if view.reference_photo]
        after = [view.decoded_photo for view in self.views if view.decoded_photo]
        return (average(before), average(after)) if before else None

    def to_json(self) -> dict[str, Any]:
        """Means, worst view and every view, rounded to what the numbers are worth."""
        worst, photos = self.worst, self.photos
        out: dict[str, Any] = {
            **self.mean.to_json(),
            "worst": {"view": worst.camera.name, **worst.score.to_json()},
            "views": [{"view": view.camera.name, **view.score.to_json()} for view in self.views],
        }
        if photos:
            before, after = photos
            out["photos"] = {
                "reference": before.to_json(),
                "decoded": after.to_json(),
                "psnr_drop": _finite(before.psnr - after.psnr),
            }
        return out


def average(scores: Sequence[Score]) -> Score:
    """Means over views. Identical views say nothing about the loss of the others, so PSNR averages the rest."""
    lossy = [score.psnr for score in scores if math.isfinite(score.psnr)]
    similar = [score.ssim for score in scores if score.ssim is not None]
    perceptual = [score.lpips for score in scores if score.lpips is not None]
    return Score(
        float(np.mean(lossy)) if lossy else math.inf,
        float(np.mean(similar)) if similar else None,
        float(np.mean(perceptual)) if perceptual else None,
    )


def compare(
    reference: Scene,
    decoded: Scene,
    cameras: Sequence[Camera],
    renderer: Renderer,
    *,
    photos: Iterable[U8] | None = None,
    background: Colour = (0.0, 0.0, 0.0),
    with_lpips: bool = False,
    log: EventLog | None = None,
) -> Comparison:
    """Render both scenes through every camera and score the 8-bit pictures.

    Both scenes are in the axes of the cameras. photos: one (H, W, 3) uint8 per camera. Cameras that see nothing of
    the reference are left out with a warning. Raises UsageError when none sees anything, MissingExtraError when
    ``with_lpips`` and LPIPS cannot run.
    """
    log = log or EventLog()
    views, blind = [], []
    given: Iterable[U8 | None] = [None] * len(cameras) if photos is None else photos
    with log.phase("compare views", len(cameras)) as done:
        for camera, photo in zip(cameras, given, strict=True):
            before, alpha = picture(renderer, reference, camera, background)
            if alpha < VISIBLE:
                blind.append(camera.name)
            else:
                after, _ = picture(renderer, decoded, camera, background)
                views.append(_view(camera, before, after, photo, with_lpips))
            done(1)
    if not views:
        raise UsageError(nothing_seen(len(cameras)))
    if blind:
        log.warn(f"{len(blind)} of {len(cameras)} cameras see nothing of the scene and are left out ({blind[0]}, …)")
    return Comparison(tuple(views))


def picture(renderer: Renderer, scene: Scene, camera: Camera, background: Colour) -> tuple[U8, float]:
    """The 8-bit render of a view and the highest alpha in it."""
    image = renderer.render(scene, camera, background=background)
    return eight_bit(image.rgb), float(image.alpha.max(initial=0.0))


def nothing_seen(count: int) -> str:
    """What to say when no camera sees the scene."""
    return f"none of the {count} cameras sees the scene: do they belong to another scene, or to other axes or units?"


def _view(camera: Camera, before: U8, after: U8, photo: U8 | None, with_lpips: bool) -> ViewScore:
    score = _score(before, after, with_lpips)
    if photo is None:
        return ViewScore(camera, score)
    return ViewScore(camera, score, _score(photo, before, with_lpips), _score(photo, after, with_lpips))


def _score(first: U8, second: U8, with_lpips: bool) -> Score:
    large = min(first.shape[:2]) > 2 * RADIUS
    return Score(
        psnr(first, second),
        ssim(first, second) if large else None,
        lpips(first, second) if with_lpips else None,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
