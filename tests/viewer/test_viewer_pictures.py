"""Laws of what the server draws: composition, and no render that is not needed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from specimens import blob

from gscompress.camera import Camera
from gscompress.metrics import psnr
from gscompress.renderers.base import Image
from gscompress.scene import Scene
from gscompress.viewer.choice import DIFFERENCE, FILE, REFERENCE, SERVER, SPLIT, Choice, Figures, figures_html
from gscompress.viewer.compose import difference, split
from gscompress.viewer.exhibit import Exhibit
from gscompress.viewer.levels import Levels
from gscompress.viewer.pictures import Pictures, View
from gscompress.viewer.world import Pose, World

VIEW = View((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, -2.0), 0.8, 40, 30)


class Painter:
    """A renderer that fills the picture with a grey for the scene, and notes what it was asked for."""

    name = "painter"

    def __init__(self) -> None:
        self.calls: list[tuple[int, Camera]] = []

    def render(self, scene: Scene, camera: Camera, **_: Any) -> Image:
        self.calls.append((len(scene), camera))
        shape = camera.height, camera.width
        return Image(np.full((*shape, 3), len(scene) / 255, np.float32), np.ones(shape, np.float32), np.ones(shape))


def exhibit(reference: bool = True) -> Exhibit:
    """A file of two levels (10 and 20 Gaussians, so greys) and a reference of 40."""
    file = Levels("a<b>.gscz", (100, 300), 25, lambda: iter([blob(10, 0), blob(20, 1)]))
    other = Levels("ref.ply", (9000,), 40, lambda: iter([blob(40, 2)])) if reference else None
    world = World(np.zeros(3), 1.0, np.array([0.0, -1, 0]))
    pose = Pose(np.array([0.0, 0, -2]), np.zeros(3), 0.8)
    return Exhibit(file, other, world, [pose], Painter(), (64, 64), (0.0, 0.0, 0.0))  # type: ignore[arg-type]


def calls(shown: Exhibit) -> list[int]:
    painter: Any = shown.renderer
    return [count for count, _ in painter.calls]


def test_split_takes_each_side_from_its_picture() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 200, (2, 9, 31, 3)).astype(np.uint8)
    assert np.array_equal(split(left, right, 1.0), left)
    assert np.array_equal(split(left, right, 0.0), right)
    for share in (0.03, 0.5, 0.77):
        edge = round(share * 31)
        both = split(left, right, share)
        assert np.array_equal(both[:, :edge], left[:, :edge])
        assert np.array_equal(both[:, edge + 1 :], right[:, edge + 1 :])
        assert (both[:, edge] == 255).all()
    assert right.max() < 200  # the inputs are not drawn on


def test_difference_is_symmetric_and_black_where_equal() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 256, (2, 9, 31, 3)).astype(np.uint8)
    assert difference(a, a).max() == 0
    assert np.array_equal(difference(a, b), difference(b, a))
    assert difference(np.uint8([[[100, 0, 255]]]), np.uint8([[[110, 255, 0]]])).tolist() == [[[40, 255, 255]]]


def test_only_what_is_shown_is_rendered_while_moving() -> None:
    for what, rendered in ((FILE, [20]), (REFERENCE, [40]), (SPLIT, [40, 20]), (DIFFERENCE, [40, 20])):
        shown = exhibit()
        Pictures(shown).show(Choice(SERVER, 1, what, 0.5), VIEW, measure=False)
        assert calls(shown) == rendered


def test_the_same_view_is_never_rendered_twice() -> None:
    shown = exhibit()
    pictures = Pictures(shown)
    for share in (0.2, 0.5, 0.9):
        picture = pictures.show(Choice(SERVER, 1, SPLIT, share), VIEW, measure=True).picture
        assert picture[0, 0, 0] == 20
        assert picture[0, -1, 0] == 40
    pictures.show(Choice(SERVER, 1, REFERENCE, 0.5), VIEW, measure=True)
    assert calls(shown) == [40, 20]
    pictures.show(Choice(SERVER, 0, FILE, 0.5), VIEW, measure=True)
    assert calls(shown) == [40, 20, 10]
    moved = View(VIEW.wxyz, (0.0, 0.1, -2.0), VIEW.fov, VIEW.width, VIEW.height)
    pictures.show(Choice(SERVER, 0, FILE, 0.5), moved, measure=False)
    assert calls(shown) == [40, 20, 10, 10]


def test_psnr_is_that_of_the_file_against_the_reference_whatever_is_shown() -> None:
    grey = [np.full((30, 40, 3), value, np.uint8) for value in (40, 20)]
    for what in (FILE, REFERENCE, SPLIT, DIFFERENCE):
        shown = Pictures(exhibit()).show(Choice(SERVER, 1, what, 0.5), VIEW, measure=True)
        assert shown.psnr == pytest.approx(psnr(*grey))
    assert Pictures(exhibit(False)).show(Choice(SERVER, 1, FILE, 0.5), VIEW, measure=True).psnr is None


def test_figures_tell_the_shown_file_and_trust_no_name() -> None:
    shown = exhibit()
    html = figures_html(shown, Choice(SERVER, 0, SPLIT, 0.5), Figures(0.05, (40, 30), 31.234))
    for text in ("a&lt;b&gt;.gscz", "10 of 25", "100 bytes of 300", "32.0", "20 fps (50 ms)", "40x30", "31.23 dB"):
        assert text in html
    assert "<b>" not in html
    html = figures_html(shown, Choice(SERVER, 0, REFERENCE, 0.5), Figures(0.05, (40, 30), math.inf))
    for text in (">40<", "9,000 bytes<", "1800.0", "identical"):
        assert text in html
