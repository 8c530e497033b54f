"""Transforms by name, for ``--do``."""

from __future__ import annotations

from gscompress.registry import Registry
from gscompress.transforms.base import Transform

_HERE = "gscompress.transforms"
TRANSFORMS: Registry[type[Transform]] = Registry(
    "transform",
    {
        "clean": f"{_HERE}.clean:Clean",
        "prune": f"{_HERE}.prune:Prune",
        "sort": f"{_HERE}.sort:Sort",
        "crop": f"{_HERE}.crop:Crop",
        "sh": f"{_HERE}.sh_degree:ShDegree",
        "frame": f"{_HERE}.to_frame:ToFrame",
    },
)
