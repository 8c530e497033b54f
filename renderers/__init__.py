"""Renderers by name: cpu (numba, always there), triton, gsplat."""

from __future__ import annotations

from gscompress.registry import Registry
from gscompress.renderers.base import Renderer

_HERE = "gscompress.renderers"
RENDERERS: Registry[type[Renderer]] = Registry(
    "renderer",
    {
        "cpu": f"{_HERE}.cpu:CpuRenderer",
        "triton": f"{_HERE}.triton:TritonRenderer",
        "gsplat": f"{_HERE}.gsplat:GsplatRenderer",
    },
)
