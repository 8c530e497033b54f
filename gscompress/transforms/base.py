"""The contract of a transform: a frozen dataclass, called with a scene, that returns a new scene."""

from __future__ import annotations

from typing import ClassVar, Protocol

from gscompress.context import Context
from gscompress.scene import Scene


class Transform(Protocol):
    """Scene → Scene. Fields are the options of ``--do name:key=value``; every change is reported to ``ctx.log``."""

    name: ClassVar[str]

    def __call__(self, scene: Scene, ctx: Context) -> Scene: ...
