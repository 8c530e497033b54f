"""The controls and figures beside the picture, for one browser window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gscompress.viewer.choice import BROWSER, DIFFERENCE, FILE, REFERENCE, SERVER, SPLIT, Choice
from gscompress.viewer.exhibit import Exhibit

if TYPE_CHECKING:
    import viser


class Panel:
    """Builds the controls of a window; ``changed`` is called after each of the user's choices."""

    def __init__(
        self, gui: viser.GuiApi, exhibit: Exhibit, changed: Callable[[], None], next_view: Callable[[], None]
    ) -> None:
        finest, compared = exhibit.levels.finest, exhibit.reference is not None
        self._figures = gui.add_html("")
        self._mode: Any = gui.add_dropdown(
            "Drawn by",
            (BROWSER, SERVER) if exhibit.browser else (SERVER,),
            initial_value=SERVER if compared or not exhibit.browser else BROWSER,
            visible=exhibit.browser,
            hint="The browser draws one colour per Gaussian; the server draws view-dependent colour too.",
        )
        self._level = gui.add_slider(
            "Quality level", 0, max(finest, 1), 1, finest, visible=finest > 0, hint="How much of the file is decoded."
        )
        self._what: Any = gui.add_dropdown(
            "Show", (FILE, REFERENCE, SPLIT, DIFFERENCE), initial_value=SPLIT if compared else FILE, visible=compared
        )
        self._split = gui.add_slider(
            "Split", 0.0, 1.0, 0.005, 0.5, visible=compared, hint="Where the file ends and the reference begins."
        )
        gui.add_button("Next viewpoint").on_click(lambda _: next_view())
        self._mode.on_update(self._mode_chosen)
        self._what.on_update(self._what_chosen)
        controls: tuple[Any, ...] = (self._mode, self._level, self._what, self._split)
        for control in controls:
            control.on_update(lambda _: changed())

    @property
    def choice(self) -> Choice:
        """What the controls say now."""
        return Choice(self._mode.value, int(self._level.value), self._what.value, float(self._split.value))

    def report(self, html: str) -> None:
        """Show the figures of the picture that is on the screen."""
        self._figures.content = html

    def _mode_chosen(self, _: Any) -> None:
        """Only the server can put two scenes into one picture."""
        if self._mode.value == BROWSER and self._what.value in (SPLIT, DIFFERENCE):
            self._what.value = FILE

    def _what_chosen(self, _: Any) -> None:
        if self._what.value in (SPLIT, DIFFERENCE):
            self._mode.value = SERVER
        self._split.visible = self._what.value == SPLIT
