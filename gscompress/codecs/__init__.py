"""Codecs by name."""

from __future__ import annotations

from gscompress.codecs.base import Codec
from gscompress.registry import Registry

_HERE = "gscompress.codecs"
CODECS: Registry[type[Codec]] = Registry(
    "codec",
    {
        "default": f"{_HERE}.default:DefaultCodec",
        "lossless": f"{_HERE}.lossless:LosslessCodec",
    },
)
