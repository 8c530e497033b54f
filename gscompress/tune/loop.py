"""The one optimisation loop: draw a view, render, pull the loss back, update. Steps are counted, never timed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gscompress.blas import one_thread
from gscompress.context import Context
from gscompress.scene import Scene
from gscompress.tune.losses import F32, Loss, as_floats, photo
from gscompress.tune.targets import Target

if TYPE_CHECKING:
    from gscompress.renderers.base import Gradients, Image

_SHOWN = 32  # views whose mean error progress shows


class Model(Protocol):
    """Whatever parameters are behind a scene."""

    def scene(self) -> Scene:
        """What this step renders: the quantized values where gradients go straight through."""
        ...

    def step(self, gradients: Gradients, rate: float) -> None:
        """Pull the renderer's gradients back to its own parameters and update them once. rate: in (0, 1]."""
        ...


def fit(
    model: Model,
    targets: Sequence[Target],
    ctx: Context,
    steps: int,
    *,
    loss: Loss = photo,
    title: str = "Tuning",
    every: Callable[[int], None] | None = None,
) -> list[float]:
    """Update ``model`` ``steps`` times; the losses. Views come in shuffled rounds drawn from ``ctx.seed``.

    Rates fall along a cosine. Progress shows the PSNR of the last views. every: called after each update with the
    number of updates so far. Raises UsageError without a renderer.
    """
    renderer = ctx.need_renderer("tuning")
    rng = np.random.default_rng(ctx.seed)
    losses: list[float] = []
    errors: deque[float] = deque(maxlen=_SHOWN)
    queue: list[int] = []
    with ctx.log.phase(title, steps) as tick, one_thread():
        for done in range(steps if targets else 0):
            queue = queue or list(rng.permutation(len(targets)))
            target = targets[int(queue.pop())]

            def pull(image: Image, target: Target = target) -> F32:
                value, gradient = loss(image.rgb, target.rgb)
                losses.append(value)
                errors.append(float(np.square(image.rgb[::4, ::4] - as_floats(target.rgb[::4, ::4])).mean()))
                return gradient

            _, gradients = renderer.render_with_grad(model.scene(), target.camera, pull, background=ctx.background)
            model.step(gradients, 0.5 + 0.5 * float(np.cos(np.pi * done / steps)))
            tick(1, f"{-10 * np.log10(np.mean(errors) + 1e-12):.2f} dB")
            if every is not None:
                every(done + 1)
    return losses
