"""The viewer in a real browser, judged by the pixels on its screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from chromium import BINARY, Chromium, wait_for

from gscompress import api, formats
from gscompress.events import EventLog
from gscompress.metrics import psnr
from gscompress.renderers import RENDERERS
from gscompress.scene import Scene, Splats
from gscompress.sh import C0
from gscompress.viewer.choice import BROWSER, DIFFERENCE, SERVER, SPLIT
from gscompress.viewer.compose import difference, split
from gscompress.viewer.exhibit import prepare
from gscompress.viewer.server import Viewer

pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium on this machine (Debian: apt-get install chromium)")
U8 = npt.NDArray[np.uint8]
WINDOW = (760, 440)
FREE = (slice(170, 440), slice(0, 400))
"""Where neither the panel nor the notice about software rendering lies."""
SAME = 2
"""How far off a pixel may be: the browser stretches the picture over its canvas, and rounds."""


def ball(shine: float) -> Scene:
    """Opaque Gaussians on a sphere, coloured by place, and by direction as strongly as ``shine``."""
    rng = np.random.default_rng(4)
    means = rng.normal(size=(500, 3))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    sh = np.zeros((500, 4, 3))
    sh[:, 0] = (0.6 * np.abs(means) + 0.2 + rng.uniform(-0.1, 0.1, (500, 3)) - 0.5) / C0
    sh[:, 1:] = shine * rng.normal(size=(500, 3, 3))
    arrays = (means, np.full((500, 3), np.log(0.07)), rng.normal(size=(500, 4)), np.full(500, 3.0), sh)
    return Scene(Splats(*(array.astype(np.float32) for array in arrays)))


class Page:
    """A browser window on a viewer: what it shows, what it should show, and its controls."""

    def __init__(self, folder: Path, against: bool) -> None:
        folder.mkdir()
        api.compress_to_file(ball(0.25), folder / "ball.gscz", "lossless")
        formats.write(ball(0.0), folder / "dull.ply")
        other = folder / "dull.ply" if against else None
        engine = RENDERERS.get("cpu")()
        self.exhibit = prepare(folder / "ball.gscz", other, engine, WINDOW, (0.0, 0.0, 0.0), EventLog())
        self.viewer = Viewer(self.exhibit, port=0)
        # Left alone, viser draws fewer pixels on a machine that is slow.
        self.browser = Chromium(self.viewer.url + "?fixedDpr=1", folder / "profile", WINDOW)
        wait_for(lambda: "Gaussians" in self.browser.text(), "the panel")

    def close(self) -> None:
        self.browser.__exit__()
        self.viewer.stop()

    def screen(self) -> U8:
        return self.browser.screenshot()[FREE]

    def render(self, level: int, reference: bool = False) -> U8:
        """Our own picture of what the window's camera sees."""
        (client,) = self.viewer._server.get_clients().values()
        place = client.camera.wxyz, client.camera.position, client.camera.fov
        levels = self.exhibit.reference if reference else self.exhibit.levels
        assert levels is not None
        return self.exhibit.render(levels.scene(level), self.exhibit.world.camera(*place, *WINDOW))[0]

    def shows(self, picture: U8) -> bool:
        """Whether the screen shows this picture of the whole window, pixel by pixel."""
        return int(np.abs(self.screen().astype(int) - picture[FREE]).max()) <= SAME

    def choose(self, now: str, wanted: str) -> None:
        self.browser.choose(now, wanted)

    def set_level(self, share: float) -> None:
        """Click on the quality slider, ``share`` of the way along."""
        self.browser.press("document.querySelector('[role=slider]').parentElement", share)

    def drag(self) -> None:
        self.browser.mouse("mousePressed", 150, 250)
        for step in range(1, 6):
            self.browser.mouse("mouseMoved", 150 + 12 * step, 250 + 4 * step)
        self.browser.mouse("mouseReleased", 210, 270)


@pytest.fixture
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    opened = Page(tmp_path / "page", request.param)
    yield opened
    opened.close()


@pytest.mark.parametrize("page", [False], indirect=True)
def test_both_modes_show_the_scene_and_levels_change_it(page: Page) -> None:
    def splats() -> bool:
        base = page.render(0)[FREE]
        return (base.max(axis=2) > 40).mean() > 0.4 and psnr(base, page.screen()) > 32

    wait_for(splats, "splats in the colours of the base level")

    page.choose(BROWSER, SERVER)
    wait_for(lambda: page.shows(page.render(1)), "the exact picture of the finest level")
    assert "fps" in page.browser.text()
    finest = page.screen()

    page.set_level(0.02)
    wait_for(lambda: page.shows(page.render(0)), "the picture of the base level")
    assert psnr(finest, page.screen()) < 30
    assert f"{page.exhibit.levels.sizes[0]:,} bytes of" in page.browser.text()

    before = page.screen()
    page.drag()
    wait_for(lambda: page.shows(page.render(0)) and psnr(before, page.screen()) < 30, "the picture from elsewhere")


@pytest.mark.parametrize("page", [True], indirect=True)
def test_split_and_difference_show_file_and_reference(page: Page) -> None:
    def halves() -> U8:
        return split(page.render(1), page.render(0, reference=True), 0.5)

    wait_for(lambda: page.shows(halves()), "file and reference side by side")
    value = psnr(page.render(0, reference=True), page.render(1))
    assert 10 < value < 30
    assert f"{value:.2f} dB" in page.browser.text()

    page.choose(SPLIT, DIFFERENCE)
    wait_for(lambda: page.shows(difference(page.render(1), page.render(0, reference=True))), "the difference")
