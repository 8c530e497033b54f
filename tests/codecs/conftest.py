"""A small real scene and four small views of it with photos, for codecs that tune."""

from __future__ import annotations

import numpy as np
import pytest
from specimens import FRUIT

from gscompress import formats
from gscompress.context import Context
from gscompress.renderers.cpu import CpuRenderer
from gscompress.scene import Scene
from gscompress.viewpoints import generate


@pytest.fixture(scope="module")
def scene() -> Scene:
    return formats.read(FRUIT)


@pytest.fixture(scope="module")
def ctx(scene: Scene) -> Context:
    cameras, renderer = generate(scene, 4, width=80), CpuRenderer()
    photos = [np.clip(renderer.render(scene, c).rgb * 255, 0, 255).round().astype(np.uint8) for c in cameras]
    return Context(renderer=renderer, cameras=cameras, photos=photos)
