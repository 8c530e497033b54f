"""How close a decoded scene looks to what it was. In a test: ``from judged import quality``."""

from __future__ import annotations

import numpy as np

from gscompress.context import Context
from gscompress.metrics import psnr
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene


def quality(reference: Scene, decoded: Scene, ctx: Context) -> float:
    """Mean PSNR over the context's cameras."""
    renderer = CpuRenderer()
    pairs = [(renderer.render(reference, c).rgb, renderer.render(decoded, c).rgb) for c in ctx.cameras]
    return float(np.mean([min(psnr(a, b), 99.0) for a, b in pairs]))
