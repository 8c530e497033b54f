"""Playing a stream: the clock and its commands, and the pixels in a real browser."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from faulty import Fault, FaultyServer
from stream_toy import FPS, GOP, number_of, toy_scene, write_file, write_folder
from viewer.chromium import BINARY, Chromium, wait_for

from gscompress.cli.main import run
from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.metrics import psnr
from gscompress.renderers import RENDERERS
from gscompress.stream.client import StreamFrame
from gscompress.stream.fetch import Patience
from gscompress.stream.prefetch import Options
from gscompress.viewer.choice import BROWSER, SERVER
from gscompress.viewer.controls import status_html
from gscompress.viewer.node import padded
from gscompress.viewer.playback import Playback, State
from gscompress.viewer.player import Player, open_player
from gscompress.viewer.splats import browser_splats

U8 = npt.NDArray[np.uint8]
WINDOW = (760, 440)
FREE = (slice(170, 440), slice(0, 400))
SAME = 2


class Audience:
    """Watches a playback: what it showed and when, and what it told."""

    def __init__(self, where: str, options: Options | None = None, **start: bool) -> None:
        self.seen: list[tuple[float, StreamFrame]] = []
        self.states: list[State] = []
        self.playback = Playback(where, options, **start)
        self.playback.shown = lambda frame: self.seen.append((time.monotonic(), frame))
        self.playback.told = self.states.append

    def __enter__(self) -> Audience:
        self.playback.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.playback.close()
        assert not any(thread.name == "playback" for thread in threading.enumerate())

    @property
    def indices(self) -> list[int]:
        assert [number_of(frame.scene) for _, frame in self.seen] == [frame.index for _, frame in self.seen]
        return [frame.index for _, frame in self.seen]

    def until(self, ask: Callable[[], object], what: str) -> None:
        wait_for(ask, what, 8)


@contextmanager
def faulty(folder: Path, fault: Fault) -> Iterator[FaultyServer]:
    """A faulty server in a thread of its own."""
    server, ready, loop, over = (
        FaultyServer(folder, fault),
        threading.Event(),
        asyncio.new_event_loop(),
        asyncio.Event(),
    )

    async def serve() -> None:
        async with server:
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(5)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def test_frames_are_shown_at_their_time_and_the_end_is_the_end(tmp_path: Path) -> None:
    write_file(tmp_path / "s.gscz", 12)
    with Audience(str(tmp_path / "s.gscz")) as audience:
        audience.until(lambda: audience.states and not audience.states[-1].playing, "the end")
        assert audience.indices == list(range(12))
        times = [moment for moment, _ in audience.seen]
        for number, moment in enumerate(times):
            assert number / FPS - 0.02 < moment - times[0] < number / FPS + 0.4
        audience.playback.play()
        audience.until(lambda: audience.indices[12:15] == [0, 1, 2], "the beginning again")


def test_pause_seek_and_loop(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", 16)
    with Audience(str(tmp_path / "s"), playing=False) as audience:
        audience.until(lambda: audience.seen, "the first frame")
        time.sleep(0.2)
        assert audience.indices == [0]
        for target in (9, 3, 15):
            audience.playback.seek(target)
            audience.until(lambda wanted=target: audience.indices[-1] == wanted, f"frame {target}")
        time.sleep(0.15)
        assert audience.indices == [0, 9, 3, 15]
        audience.playback.seek(10**9)
        audience.until(lambda: audience.indices == [0, 9, 3, 15, 15], "the last frame")
        audience.playback.loop(True)
        audience.playback.seek(14)
        audience.playback.play()
        audience.until(lambda: audience.indices[-4:] == [*range(14, 16), 0, 1] or len(audience.seen) > 9, "the loop")
        assert audience.indices[5:9] == [14, 15, 0, 1]
        audience.playback.pause()
        audience.until(lambda: not audience.playback.state.playing, "the pause")
        shown = len(audience.seen)
        time.sleep(0.2)
        assert len(audience.seen) == shown


def test_a_stall_is_announced_and_a_lost_group_is_held(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", 6 * GOP)

    def fault(path: str, before: int) -> str | None:
        if "/000002-" in path:
            return "missing"
        return "stalled" if "/000004-" in path and not before else None

    options = Options(
        prefetch=0.1, ahead=1, patience=Patience(tries=2, seconds=5.0, stall=0.5, first=0.01, longest=0.05)
    )
    with faulty(tmp_path / "s", fault) as server, Audience(server.url, options) as audience:
        audience.until(lambda: audience.states and not audience.states[-1].playing, "the end")
    assert [frame.index for _, frame in audience.seen] == list(range(6 * GOP))
    assert [frame.index for _, frame in audience.seen if frame.held] == list(range(2 * GOP, 3 * GOP))
    stalls = [state.frame for state in audience.states if state.buffering and state.frame > 0]
    assert set(stalls) == {4 * GOP - 1}
    assert not audience.states[-1].buffering


def test_what_cannot_be_played_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stream", "play", str(tmp_path / "none.gscz"), "--port", "0", "--no-open"]) == 3
    assert "no such file" in capsys.readouterr().err
    write_folder(tmp_path / "s", 4)
    assert run(["stream", "play", str(tmp_path / "s"), "--rendition", "q7", "--port", "0", "--no-open"]) == 3
    assert "choose from q1" in capsys.readouterr().err
    for part in (tmp_path / "s" / "q1").glob("*.gop"):
        part.unlink()
    with Audience(str(tmp_path / "s")) as audience:
        audience.until(lambda: audience.playback.state.trouble, "the trouble")
    assert isinstance(audience.playback.error, UnreadableError)
    assert not audience.playback.state.playing


def test_after_trouble_play_tries_again_from_where_it_was(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", 10 * GOP)
    segments = sorted((tmp_path / "s" / "q1").glob("*.gop"))
    for segment in segments[4:]:
        segment.rename(segment.with_suffix(".away"))
    options = Options(give_up=2, ahead=1, patience=Patience(tries=1, seconds=0.1, first=0.01))
    with Audience(str(tmp_path / "s"), options) as audience:
        audience.until(lambda: audience.playback.state.trouble, "the trouble")
        assert audience.playback.state.frame == 6 * GOP - 1
        for segment in segments[4:]:
            segment.with_suffix(".away").rename(segment)
        seen = len(audience.seen)
        audience.playback.play()
        audience.until(lambda: audience.playback.state.frame == 10 * GOP - 1, "the end")
        assert [frame.index for _, frame in audience.seen[seen:]] == list(range(6 * GOP - 1, 10 * GOP))
        assert not any(frame.held for _, frame in audience.seen[seen:])
        assert not audience.playback.state.trouble


def test_texts_from_outside_are_escaped_in_the_controls() -> None:
    frame = StreamFrame(1, toy_scene(1), True, "<b>q", 10, "<script>")
    assert "<script>" not in status_html(State(), frame)
    assert "<b>q" not in status_html(State(), frame)
    assert "<script>" not in status_html(State(trouble="<script>"), frame)


class Cinema:
    """A browser window on a player."""

    def __init__(self, folder: Path) -> None:
        write_folder(folder / "film", 24)
        engine = RENDERERS.get("cpu")()
        self.player: Player = open_player(
            str(folder / "film"), Options(), engine, WINDOW, (0.0, 0.0, 0.0), EventLog(), port=0, loop=True
        )
        self.browser = Chromium(self.player.url + "?fixedDpr=1", folder / "profile", WINDOW)
        wait_for(lambda: "Gaussians" in self.browser.text(), "the panel")

    def close(self) -> None:
        self.browser.__exit__()
        self.player.stop()

    def screen(self) -> U8:
        return self.browser.screenshot()[FREE]

    def render(self, frame: int) -> U8:
        """Our own picture of what the window's camera sees of a frame."""
        (client,) = self.player._server.get_clients().values()
        place = client.camera.wxyz, client.camera.position, client.camera.fov
        exhibit = self.player._exhibit
        return exhibit.render(toy_scene(frame), exhibit.world.camera(*place, *WINDOW))[0][FREE]

    def shows(self, frame: int) -> bool:
        return int(np.abs(self.screen().astype(int) - self.render(frame)).max()) <= SAME

    def button(self, label: str) -> None:
        self.browser.press(f"[...document.querySelectorAll('button')].find(e => e.innerText == {label!r})")


@pytest.fixture
def cinema(tmp_path: Path) -> Iterator[Cinema]:
    opened = Cinema(tmp_path)
    yield opened
    opened.close()


@pytest.mark.skipif(BINARY is None, reason="no Chromium on this machine (Debian: apt-get install chromium)")
def test_a_browser_shows_the_right_frames_at_different_times(cinema: Cinema) -> None:
    playback = cinema.player.playback

    def similar(frame: int) -> bool:
        return psnr(cinema.render(frame), cinema.screen()) > 30

    wait_for(lambda: similar(0), "the first frame, drawn by the browser")
    first = cinema.screen()
    playback.seek(13)
    wait_for(lambda: similar(13), "another frame, drawn by the browser")
    assert psnr(first, cinema.screen()) < 15
    assert not similar(0)

    cinema.browser.choose(BROWSER, SERVER)
    wait_for(lambda: cinema.shows(13), "the exact picture of the same frame")
    cinema.button("Play")
    wait_for(lambda: playback.state.playing, "the film to go on")
    wait_for(lambda: playback.state.frame not in (13, 14), "time to pass")
    assert "Pause" in cinema.browser.text()
    cinema.button("Pause")
    wait_for(lambda: not playback.state.playing, "the film to pause")
    assert playback.state.frame != 13
    wait_for(lambda: cinema.shows(playback.state.frame), "the exact picture of the frame at which it stopped")
    assert "paused" in cinema.browser.text()
    playback.seek(0)
    wait_for(lambda: cinema.shows(0), "the first frame again")


def test_rows_that_fill_up_a_frame_are_never_seen() -> None:
    scene = toy_scene(0)
    world = type("World", (), {"focus": np.zeros(3), "radius": 1.0})()
    splats = padded(browser_splats(scene, world, 0.5), 100)
    assert len(splats.centers) == len(splats.covariances) == len(splats.rgbs) == len(splats.opacities) == 100
    assert splats.scale == 0.5
    assert not splats.opacities[len(scene) :].any()
    assert math.isfinite(float(splats.centers.sum()))
