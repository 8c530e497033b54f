"""The transport controls of a stream, shared by all windows: play, pause, seek, loop, and what is going on."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING, Any

from gscompress.stream.client import StreamFrame
from gscompress.viewer.playback import Playback, State

if TYPE_CHECKING:
    import viser

REPORTS = 0.15
"""Seconds between two updates while frames follow each other."""
HANDS_OFF = 0.7
"""Seconds after the user's last touch in which the slider is left alone."""


class Controls:
    """Builds the controls and keeps them up to date."""

    def __init__(self, gui: viser.GuiApi, playback: Playback) -> None:
        self._playback = playback
        self._status = gui.add_html("")
        self._button: Any = gui.add_button("Pause")
        self._slider: Any = gui.add_slider("Frame", 0, 1, 1, 0)
        self._loop: Any = gui.add_checkbox("Loop", playback.state.loop)
        self._touched, self._reported = 0.0, 0.0
        self._key: tuple[object, ...] = ()
        self._button.on_click(lambda _: self._pressed())
        self._slider.on_update(self._moved)
        self._loop.on_update(lambda event: playback.loop(bool(event.target.value)))

    def report(self, state: State, frame: StreamFrame) -> None:
        """Show what is going on; at once when it is something new, else now and then."""
        now = time.monotonic()
        key = state.playing, state.buffering, state.trouble, frame.held, state.loop
        if key == self._key and now - self._reported < REPORTS and state.playing:
            return
        self._key, self._reported = key, now
        self._status.content = status_html(state, frame)
        if self._button.label != (label := "Pause" if state.playing else "Play"):
            self._button.label = label
        if self._slider.max != (last := max(state.frames - 1, 1)):
            self._slider.max = last
        if now - self._touched > HANDS_OFF:
            self._slider.value = state.frame

    def _pressed(self) -> None:
        (self._playback.pause if self._playback.state.playing else self._playback.play)()

    def _moved(self, event: Any) -> None:
        if event.client is not None:  # a hand, not ``report``
            self._touched = time.monotonic()
            self._playback.seek(int(self._slider.value))


def status_html(state: State, frame: StreamFrame) -> str:
    """One line on what is shown and a bar of what is here already; texts from outside are escaped."""
    if state.trouble:
        word, colour = f"stopped: {state.trouble}", "#e03131"
    elif frame.held:
        word, colour = f"frame {state.frame} is lost, frame before it held: {frame.reason}", "#e8590c"
    elif state.buffering:
        word, colour = "buffering …", "#f08c00"
    else:
        word, colour = ("playing" if state.playing else "paused") + (", live" if state.live else ""), "inherit"
    facts = [f"frame {state.frame} of {state.frames}", f"{state.frame / state.fps:.1f} s", escape(frame.rendition)]
    facts += [] if state.rate is None else [f"{state.rate / 1e6:.1f} MB/s"]
    facts += [f"{state.in_hand:.1f} s in hand"]
    total = max(state.frames, 1)
    done = 100 * (state.frame + 1) / total
    ahead = min(100 - done, 100 * state.in_hand * state.fps / total)
    bar = "".join(
        f'<div style="height:100%;width:{width:.1f}%;background:{shade};float:left"></div>'
        for width, shade in ((done, "#228be6"), (max(ahead, 0.0), "#228be666"))
    )
    return (
        f'<div style="padding:0.25em 0.75em;font-size:0.85em"><b style="color:{colour};overflow-wrap:anywhere">'
        f'{escape(word)}</b><div style="font-variant-numeric:tabular-nums">{" · ".join(facts)}</div>'
        f'<div style="height:4px;margin-top:4px;background:#8884">{bar}</div></div>'
    )
