"""What a transform or a codec may know besides the scene: seed, event log, cameras and a renderer.

This is the only way in which pictures reach the core: it never imports renderers or datasets itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gscompress.camera import Camera
from gscompress.errors import UsageError
from gscompress.events import EventLog

if TYPE_CHECKING:
    from gscompress.renderers.base import Renderer

T = TypeVar("T")
NEARBY = "nearby"
"""Keys of a memo begin with this where encodes at nearby qualities may share what is there: what they come to depends
on which of them was first."""
_AT_ONCE = 2  # views: the serial moments of one are filled by the kernels of the other


@dataclass(frozen=True, slots=True)
class Context:
    """seed: of every random draw. cameras: the views to judge by; photos: one (H, W, 3) uint8 per camera or none.

    background: RGB in [0, 1] behind the scene in the photos.
    judges: views that nothing is fitted to, to measure what was reached; without them, ``cameras`` serve for both.
    memo: what several encodes of the same scene may share (a search for a size or a quality runs many).
    checkpoints: a folder for finished stages of long encodes, to go on from after an interruption.
    """

    seed: int = 0
    log: EventLog = field(default_factory=EventLog)
    renderer: Renderer | None = None
    cameras: Sequence[Camera] = ()
    photos: Sequence[Any] = ()
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    judges: Sequence[Camera] = ()
    memo: dict[Any, Any] = field(default_factory=dict)
    checkpoints: Path | None = None

    def alone(self) -> Context:
        """The same for an encode that shares nothing with those at nearby qualities."""
        return replace(self, memo={key: value for key, value in self.memo.items() if key[0] != NEARBY})

    def need_renderer(self, who: str) -> Renderer:
        """The renderer, or a UsageError that names the one who needs it."""
        if self.renderer is None:
            raise UsageError(f"{who} judges by renders: pass a Context with a renderer")
        return self.renderer

    def each_view(self, title: str, work: Callable[[int, Camera], T]) -> Iterator[T]:
        """``work(k, camera)`` of every camera, in their order, some at once: it must not depend on another's result.

        title: what the progress bar says. No more results wait than are worked on, for they may be as large as a scene.
        """
        with self.log.phase(title, len(self.cameras)) as tick, ThreadPoolExecutor(_AT_ONCE) as pool:
            begun: deque[Future[T]] = deque()
            for k, camera in enumerate(self.cameras):
                if len(begun) == _AT_ONCE:
                    yield begun.popleft().result()
                    tick(1)
                begun.append(pool.submit(work, k, camera))
            while begun:
                yield begun.popleft().result()
                tick(1)
