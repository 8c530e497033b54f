"""The web server: viser on one port, one session per window."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import socket
import threading
import warnings
from typing import TYPE_CHECKING

from gscompress.errors import MissingExtraError, UsageError
from gscompress.viewer.exhibit import Exhibit
from gscompress.viewer.session import Session
from gscompress.viewer.world import NEAR

if TYPE_CHECKING:
    import viser

FAR = 1e4
"""Farthest distance drawn by the browser, in radii."""


def need_viser() -> None:
    """Raises MissingExtraError."""
    try:
        import viser  # noqa: F401
    except ImportError:
        raise MissingExtraError("viser", "viewer", "the viewer") from None


def check_address(host: str, port: int) -> None:
    """Bind as the server will: viser itself would silently move on to another port. Raises UsageError."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        if number == errno.EADDRINUSE:
            reason = f"port {port} on {host} is taken: end what uses it or choose another with --port"
        elif number == errno.EACCES:
            reason = f"port {port} needs more rights than you have: choose one from 1024 up with --port"
        else:
            reason = f"cannot serve on '{host}': it is no address of this machine (127.0.0.1 is, 0.0.0.0 means all)"
        raise UsageError(reason) from None


class Viewer:
    """A running server. Ends with ``stop``, or as a context manager.

    Raises MissingExtraError without viser, UsageError when the port cannot be had. Port 0 takes any free one.
    """

    def __init__(self, exhibit: Exhibit, host: str = "127.0.0.1", port: int = 8080) -> None:
        need_viser()
        import viser

        check_address(host, port)
        # Browsers open connections that they never use, and leave in the middle of a picture: nothing to print about.
        logging.getLogger("websockets").addHandler(logging.NullHandler())
        warnings.filterwarnings("ignore", "Queued a .* on a closed connection", UserWarning)
        self._sessions: dict[int, Session] = {}
        self._lock = threading.Lock()
        self._exhibit = exhibit
        with contextlib.redirect_stdout(io.StringIO()):  # viser greets in a box; the command line has its own line
            self._server = viser.ViserServer(host=host, port=port, label="gscompress", verbose=False)
        if port not in (0, self._server.get_port()):
            self.stop()
            raise UsageError(f"port {port} on {host} was taken meanwhile: choose another with --port")
        self._furnish()
        self._server.on_client_connect(self._opened)
        self._server.on_client_disconnect(self._left)

    @property
    def url(self) -> str:
        host = self._server.get_host()
        shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
        return f"http://{shown}:{self._server.get_port()}"

    def refresh(self, *, playing: bool) -> None:
        """The exhibit shows another scene: every window draws it."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.refresh(playing=playing)

    def stop(self) -> None:
        """Close every window's session, then the port."""
        with self._lock:
            sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.close()
        for session in sessions.values():
            session.wait()
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _furnish(self) -> None:
        """What every window starts with: dark page, upright axes, the first viewpoint."""
        server, world, pose = self._server, self._exhibit.world, self._exhibit.poses[0]
        server.gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False)
        server.scene.set_up_direction(world.up)
        camera = server.initial_camera
        camera.position, camera.look_at, camera.up = pose.eye, pose.target, world.up
        camera.fov, camera.near, camera.far = pose.fov, NEAR, FAR

    def _opened(self, client: viser.ClientHandle) -> None:
        with self._lock:
            self._sessions[client.client_id] = Session(client, self._exhibit)
        if client.client_id not in self._server.get_clients():  # closed again before it was known here
            self._left(client)

    def _left(self, client: viser.ClientHandle) -> None:
        with self._lock:
            session = self._sessions.pop(client.client_id, None)
        if session is not None:
            session.close()
