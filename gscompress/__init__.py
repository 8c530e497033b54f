"""gscompress: compress trained Gaussian-splat and radiance-field scenes, and prove what was lost.

Importing this package loads numpy and nothing heavier; codecs, renderers and formats load when they are used.
"""

from __future__ import annotations

from gscompress.camera import Camera
from gscompress.errors import GscompressError
from gscompress.formats import read, write
from gscompress.frame import Frame
from gscompress.scene import Scene, Splats

__version__ = "0.1.0"
__all__ = ["Camera", "Frame", "GscompressError", "Scene", "Splats", "compress", "decompress", "read", "write"]


def compress(scene: Scene, preset: str = "default", **options: object) -> bytes:
    """Compress a scene to the bytes of a ``.gscz`` file. See ``gscompress.api.compress`` for the options."""
    from gscompress.api import compress as run

    return run(scene, preset, **options)  # type: ignore[arg-type]


def decompress(data: bytes) -> Scene:
    """Decode the bytes of a ``.gscz`` file. Raises UnreadableError."""
    from gscompress.api import decompress as run

    return run(data)
