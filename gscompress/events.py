"""Typed progress events. Library code emits them; only the command line prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PhaseStart:
    """A named piece of work begins; ``total`` is its number of steps, or None when unknown."""

    name: str
    total: int | None


@dataclass(frozen=True, slots=True)
class Tick:
    """``steps`` more steps of the innermost open phase are done; ``note``: how it goes, a few words."""

    steps: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class PhaseEnd:
    """The innermost open phase is over."""

    name: str


@dataclass(frozen=True, slots=True)
class Message:
    """Something the user should know. ``level`` is "info" or "warning"."""

    level: str
    text: str


Event = PhaseStart | Tick | PhaseEnd | Message


def _ignore(_: Event) -> None:
    return None


class EventLog:
    """Where library code reports to. Without a sink nothing is shown; warnings are kept either way."""

    def __init__(self, sink: Callable[[Event], None] = _ignore) -> None:
        self._sink = sink
        self.warnings: list[str] = []

    @contextmanager
    def phase(self, name: str, total: int | None = None) -> Iterator[Callable[..., None]]:
        """Open a phase; the yielded function reports finished steps, and in a few words how it goes."""

        def tick(steps: int = 1, note: str = "") -> None:
            self._sink(Tick(steps, note))

        self._sink(PhaseStart(name, total))
        try:
            yield tick
        finally:
            self._sink(PhaseEnd(name))

    def info(self, text: str) -> None:
        self._sink(Message("info", text))

    def warn(self, text: str) -> None:
        """Report a loss or an oddity once; repeated texts are dropped."""
        if text not in self.warnings:
            self.warnings.append(text)
            self._sink(Message("warning", text))
