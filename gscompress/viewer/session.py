"""One browser window: watches its camera and controls, and keeps a picture in it that fits both."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from gscompress.viewer.choice import Choice, Figures, figures_html
from gscompress.viewer.exhibit import Exhibit
from gscompress.viewer.levels import Levels
from gscompress.viewer.node import SplatNode
from gscompress.viewer.pace import Pace, Step
from gscompress.viewer.panel import Panel
from gscompress.viewer.pictures import Pictures, View
from gscompress.viewer.world import picture_size

if TYPE_CHECKING:
    import viser

REPORTS = 0.25
"""Seconds between two updates of the figures while the camera moves."""


class Session:
    """Draws for one window, in a thread of its own, until it is closed."""

    def __init__(self, client: viser.ClientHandle, exhibit: Exhibit) -> None:
        self._client, self._exhibit = client, exhibit
        self._pace, self._pictures = Pace(), Pictures(exhibit)
        self._news, self._closed = threading.Condition(), False
        self._splats = SplatNode(client.scene, exhibit.world)
        self._sent: tuple[Levels, int, int] | None = None
        self._reported, self._viewpoint = 0.0, 0
        self._panel = Panel(client.gui, exhibit, self._chosen, self._next_viewpoint)
        client.camera.on_update(lambda _: self._moved())
        self._pace.changed()
        self._thread = threading.Thread(target=self._run, name=f"window {client.client_id}", daemon=True)
        self._thread.start()

    def refresh(self, *, playing: bool) -> None:
        """The scene is another: draw it, quickly if the next one follows soon."""
        with self._news:
            if playing:
                self._pace.moved(time.monotonic())
            else:
                self._pace.changed()
            self._news.notify()

    def close(self) -> None:
        """Begin no more pictures."""
        with self._news:
            self._closed = True
            self._news.notify()

    def wait(self, seconds: float = 5.0) -> None:
        """Until the picture that was begun is done, though not for ever."""
        self._thread.join(seconds)

    def _moved(self) -> None:
        if self._panel.choice.exact:
            with self._news:
                self._pace.moved(time.monotonic())
                self._news.notify()

    def _chosen(self) -> None:
        self.refresh(playing=False)

    def _next_viewpoint(self) -> None:
        self._viewpoint = (self._viewpoint + 1) % len(self._exhibit.poses)
        pose = self._exhibit.poses[self._viewpoint]
        with self._client.atomic():
            self._client.camera.up_direction = self._exhibit.world.up
            self._client.camera.position = pose.eye
            self._client.camera.look_at = pose.target

    def _run(self) -> None:
        while True:
            with self._news:
                step = self._pace.next(time.monotonic())
                while not step.share and not self._closed:
                    self._news.wait(step.wait)
                    step = self._pace.next(time.monotonic())
                if self._closed:
                    return
                self._pace.starts(step)
            choice = self._panel.choice
            try:
                if choice.exact:
                    self._draw(choice, step)
                else:
                    self._send(choice, step)
            except Exception as error:  # whatever it is, the window must learn of it and the thread live on
                self._client.add_notification(
                    "This cannot be drawn", " ".join(str(error).split()) or repr(error), color="red"
                )

    def _draw(self, choice: Choice, step: Step) -> None:
        """Put a picture into the window; one to look at closely comes twice, at once and then without loss."""
        view, scene = self._view(step.share), self._client.scene
        shown = self._pictures.show(choice, view, measure=step.rest)
        scene.set_background_image(shown.picture, format="jpeg", jpeg_quality=90)
        self._splats.set_visible(False)
        self._client.flush()
        now = time.monotonic()
        with self._news:
            self._pace.took(step, shown.seconds)
        if step.rest or now - self._reported > REPORTS:
            self._reported = now
            figures = Figures(shown.seconds, (view.width, view.height), shown.psnr)
            self._panel.report(figures_html(self._exhibit, choice, figures))
        if step.rest and not self._outdated():
            scene.set_background_image(shown.picture, format="png")

    def _send(self, choice: Choice, step: Step) -> None:
        """Let the browser draw: the Gaussians unless it has them, and a plain background."""
        shown, level = choice.single(self._exhibit)
        key = shown, level, shown.revision
        if self._sent != key:
            self._splats.show(shown.scene(level), moving=shown.revision > 0)
            self._sent = key
        else:
            self._splats.set_visible(True)
        colour = np.round(np.array(self._exhibit.background) * 255).astype(np.uint8)
        self._client.scene.set_background_image(np.broadcast_to(colour, (2, 2, 3)), format="png")
        now = time.monotonic()
        if step.rest or now - self._reported > REPORTS:
            self._reported = now
            self._panel.report(figures_html(self._exhibit, choice, Figures()))

    def _view(self, share: float) -> View:
        camera = self._client.camera
        size = picture_size((camera.image_width, camera.image_height), self._exhibit.limit, share)
        return View(tuple(camera.wxyz), tuple(camera.position), camera.fov, *size)

    def _outdated(self) -> bool:
        with self._news:
            return self._pace.next(time.monotonic()).share > 0
