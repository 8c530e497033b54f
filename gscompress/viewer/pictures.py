"""What the server draws for a window: the renders that a choice needs, put together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gscompress.metrics import psnr
from gscompress.viewer.choice import DIFFERENCE, FILE, REFERENCE, SPLIT, Choice
from gscompress.viewer.compose import U8, difference, split
from gscompress.viewer.exhibit import Exhibit
from gscompress.viewer.levels import Levels


@dataclass(frozen=True, slots=True)
class View:
    """A window's camera in browser coordinates and the picture that is due. Equal views have equal pictures."""

    wxyz: tuple[float, ...]
    position: tuple[float, ...]
    fov: float
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Shown:
    """picture: (H, W, 3). seconds: that the renders in it took, whenever that was. psnr: dB, None if not measured."""

    picture: U8
    seconds: float
    psnr: float | None = None


class Pictures:
    """Renders, and keeps the renders of the last view: moving the split or changing what is shown is then free."""

    def __init__(self, exhibit: Exhibit) -> None:
        self._exhibit = exhibit
        self._view: View | None = None
        self._kept: dict[tuple[bool, int, int], Shown] = {}

    def show(self, choice: Choice, view: View, *, measure: bool) -> Shown:
        """What to put on the screen; with ``measure`` also the PSNR of the file against the reference, if there is one.

        Raises UnreadableError when the level cannot be decoded.
        """
        levels, reference = self._exhibit.levels, self._exhibit.reference
        if view != self._view:
            self._view, self._kept = view, {}
        if reference is None or (choice.what == FILE and not measure):
            return self._render(view, levels, choice.level)
        right = self._render(view, reference, reference.finest)
        if choice.what == REFERENCE and not measure:
            return right
        left = self._render(view, levels, choice.level)
        shown = _combined(choice, left, right)
        return replace(shown, psnr=psnr(right.picture, left.picture)) if measure else shown

    def _render(self, view: View, levels: Levels, level: int) -> Shown:
        key = (levels is self._exhibit.levels, level, levels.revision)
        if key not in self._kept:
            self._kept = {k: shown for k, shown in self._kept.items() if k[0] != key[0] or k[2] == key[2]}
            place = np.array(view.wxyz), np.array(view.position), view.fov
            camera = self._exhibit.world.camera(*place, view.width, view.height)
            self._kept[key] = Shown(*self._exhibit.render(levels.scene(level), camera))
        return self._kept[key]


def _combined(choice: Choice, left: Shown, right: Shown) -> Shown:
    if choice.what == SPLIT:
        return Shown(split(left.picture, right.picture, choice.split), left.seconds + right.seconds)
    if choice.what == DIFFERENCE:
        return Shown(difference(left.picture, right.picture), left.seconds + right.seconds)
    return right if choice.what == REFERENCE else left
