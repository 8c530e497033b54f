"""Presets by name. Each recipe sits beside its codec; nothing is imported before it is asked for."""

from __future__ import annotations

from gscompress.recipe import Recipe
from gscompress.registry import Registry

_HERE = "gscompress.codecs"
PRESETS: Registry[Recipe] = Registry(
    "preset",
    {
        "default": f"{_HERE}.default:DEFAULT",
        "fast": f"{_HERE}.default:FAST",
        "progressive": f"{_HERE}.default:PROGRESSIVE",
        "small": f"{_HERE}.default:SMALL",
        "lightgaussian": f"{_HERE}.lightgaussian:LIGHTGAUSSIAN",
        "compact3d": f"{_HERE}.compact3d:COMPACT3D",
        "c3dgs": f"{_HERE}.c3dgs:C3DGS",
        "compact-3dgs": f"{_HERE}.compact_3dgs:COMPACT_3DGS",
        "max": f"{_HERE}.max:MAX",
        "lossless": f"{_HERE}.lossless:LOSSLESS",
    },
)
