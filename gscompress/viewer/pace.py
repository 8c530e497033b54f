"""When to draw, and how large: few pixels while the camera moves, all of them once it rests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


class Step(NamedTuple):
    """share: of the pixels to draw now, 0 for nothing. rest: the camera rests, this is the picture to look at closely.

    wait: seconds until asking again; None: until something changes.
    """

    share: float
    rest: bool
    wait: float | None


@dataclass(slots=True)
class Pace:
    """Decides from a clock (any seconds that only grow) and from how long frames took; draws nothing itself.

    budget: seconds that a frame may take while the camera moves. settle: seconds without movement that make a rest.
    smallest: share of the pixels drawn at least. share: what the next moving frame draws.
    """

    budget: float = 0.08
    settle: float = 0.25
    smallest: float = 1 / 16
    share: float = 0.25
    _moved: float = -math.inf
    _stale: bool = False
    _owed: bool = False

    def moved(self, now: float) -> None:
        """The camera is elsewhere."""
        self._moved, self._stale, self._owed = now, True, True

    def changed(self) -> None:
        """What is shown changed: a full picture is owed, at once when the camera rests."""
        self._stale = self._owed = True

    def next(self, now: float) -> Step:
        """What to do now."""
        settled = self._moved + self.settle
        if self._owed and now >= settled:
            return Step(1.0, True, None)
        if self._stale:
            return Step(self.share, False, None)
        return Step(0.0, False, settled - now if self._owed else None)

    def starts(self, step: Step) -> None:
        """A frame is begun: what comes in from now on is not in it."""
        self._stale = False
        self._owed = self._owed and not step.rest

    def took(self, step: Step, seconds: float) -> None:
        """A frame is out: the next moving one aims at the budget, by steps of 2 at most."""
        aim = step.share * self.budget / max(seconds, 1e-6)
        if not step.rest or aim > self.share:
            self.share = min(1.0, max(self.smallest, min(max(aim, self.share / 2), self.share * 2)))
