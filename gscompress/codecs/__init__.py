"""Codecs by name."""

from __future__ import annotations

from gscompress.codecs.base import Codec
from gscompress.registry import Registry

_HERE = "gscompress.codecs"
CODECS: Registry[type[Codec]] = Registry(
    "codec",
    {
        "default": f"{_HERE}.default:DefaultCodec",
        "compact3d": f"{_HERE}.compact3d:Compact3dCodec",
        "c3dgs": f"{_HERE}.c3dgs:C3dgsCodec",
        "lightgaussian": f"{_HERE}.lightgaussian:LightGaussianCodec",
        "compact-3dgs": f"{_HERE}.compact_3dgs:Compact3dgsCodec",
        "max": f"{_HERE}.max:MaxCodec",
        "lossless": f"{_HERE}.lossless:LosslessCodec",
    },
)
