"""Express the scene in other axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.frame import Frame
from gscompress.scene import Scene


@dataclass(frozen=True, slots=True)
class ToFrame:
    """Turn positions, rotations and SH into the axes ``to`` (three letters such as RUB, see gscompress.frame)."""

    name: ClassVar[str] = "frame"
    to: str = ""

    def __post_init__(self) -> None:
        if not self.to:
            raise UsageError("frame: say which axes, as in frame:to=RUB")
        Frame(self.to)

    def __call__(self, scene: Scene, ctx: Context) -> Scene:
        turned = scene.in_frame(Frame(self.to))
        if turned is not scene:
            ctx.log.info(f"frame: {scene.frame.axes} to {turned.frame.axes}")
        return turned
