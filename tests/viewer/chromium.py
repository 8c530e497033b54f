"""A headless Chromium driven over the DevTools protocol: ``with Chromium(url, folder) as page``."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from websockets.sync.client import connect

BINARY = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SOFTWARE_GL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu")
ALONE = ("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync")
FLAGS = ("--headless=new", "--no-sandbox", "--no-first-run", "--disable-dev-shm-usage", *SOFTWARE_GL, *ALONE)


class Chromium:
    """One page. ``folder`` becomes the profile; nothing of it is shared with other browsers on the machine."""

    def __init__(self, url: str, folder: Path, size: tuple[int, int] = (900, 600)) -> None:
        assert BINARY is not None
        own = ("--remote-debugging-port=0", f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}")
        self._process = subprocess.Popen(
            [BINARY, *FLAGS, *own, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._numbers = itertools.count(1)
        try:
            port = int(wait_for(lambda: _first_line(folder / "DevToolsActivePort"), "Chromium to start"))
            with open_url(f"http://127.0.0.1:{port}/json/list") as reply:
                pages = [target for target in json.load(reply) if target["type"] == "page"]
            self._socket = connect(pages[0]["webSocketDebuggerUrl"], max_size=None, proxy=None)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self.call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )
        self.call("Page.navigate", url=url)

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def call(self, method: str, **parameters: Any) -> Any:
        """One DevTools command and its result; events in between are dropped."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return message["result"]

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def screenshot(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) what the page shows."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    def mouse(self, kind: str, x: float, y: float) -> None:
        """``kind``: mousePressed, mouseMoved or mouseReleased, with the left button."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def click(self, x: float, y: float) -> None:
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def press(self, element: str, share: float = 0.5) -> None:
        """Click on what a JavaScript expression finds, ``share`` of the way along it."""
        box = f"(() => {{ const e = {element}; if (!e) return null; const r = e.getBoundingClientRect(); "
        box += "return [r.x, r.y, r.width, r.height] })()"
        x, y, width, height = wait_for(lambda: self.evaluate(box), element)
        self.click(x + share * width, y + height / 2)

    def choose(self, now: str, wanted: str) -> None:
        """Pick from the list that says ``now``."""
        says = "[...document.querySelectorAll('input')].find(e => e.offsetParent && e.value == {!r})"
        option = (
            f"[...document.querySelectorAll('[role=option]')].find(e => e.offsetParent && e.innerText == {wanted!r})"
        )
        self.press(says.format(now))
        for _ in range(3):  # the list moves while it unfolds, so a click may go beside it
            time.sleep(0.4)
            self.press(option)
            with contextlib.suppress(AssertionError):
                wait_for(lambda: self.evaluate(f"!!{says.format(wanted)}"), f"'{wanted}' to be chosen", 3)
                return
        raise AssertionError(f"'{wanted}' could not be chosen")

    def text(self) -> str:
        """All text on the page."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))


def open_url(url: str) -> Any:
    """Fetch from this machine, past any proxy that the environment names."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10)


def wait_for(ask: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Ask again and again until the answer is true, and return it; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)


def _first_line(path: Path) -> str | None:
    lines = path.read_text().splitlines() if path.exists() else []
    return lines[0] if lines else None
