"""A stream's current frame, in the place of a file's levels."""

from __future__ import annotations

from gscompress.frame import RDF
from gscompress.scene import Scene
from gscompress.stream.client import StreamFrame
from gscompress.viewer.levels import Levels


class Moving(Levels):
    """One level that shows whichever frame was given last; sizes are bytes per frame."""

    def __init__(self, name: str, frame: StreamFrame) -> None:
        super().__init__(name, [0], 0, lambda: iter(()))
        self.show(frame)

    def show(self, frame: StreamFrame) -> None:
        """Take the place of the frame before."""
        self._scene = frame.scene.in_frame(RDF)
        self.sizes, self.gaussians = (frame.size,), len(self._scene)
        self.revision += 1

    def scene(self, level: int) -> Scene:
        return self._scene
