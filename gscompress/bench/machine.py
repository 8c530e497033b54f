"""What was measured on: the machine and the versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gscompress import __version__

# Memory of one cell: Python with numba and renderer, and copies of the scene (measured: 3 to 5, and the pictures).
_PER_JOB, _PER_BYTE = 400 * 10**6, 6
_PACKAGES = ("numpy", "numba", "zstandard", "pillow")


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system and the versions of what does the work. All JSON values."""
    packages = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
    return {
        "processor": _line_of("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_mb": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "gscompress": __version__,
        **packages,
    }


def load() -> list[float] | None:
    """Load averages over 1, 5 and 15 minutes; None where there are none."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def cores_per_job(jobs: int) -> int:
    """Cores that one of several jobs at a time should use."""
    return max(1, (os.cpu_count() or 1) // jobs)


def jobs_that_fit(wish: int, largest: int) -> int:
    """``wish`` or as many as free memory holds, at least 1; largest: bytes of the largest scene as .ply."""
    free = _memory("MemAvailable")
    return wish if free is None else max(1, min(wish, free * 10**6 // (_PER_JOB + _PER_BYTE * largest)))


def _memory(what: str = "MemTotal") -> int | None:
    """Megabytes of the machine's memory; None where the system does not say."""
    text = _line_of("/proc/meminfo", what)
    return int(text.split()[0]) * 1024 // 10**6 if text else None


def _line_of(path: str, key: str) -> str | None:
    with suppress(OSError):
        lines: Iterable[str] = Path(path).read_text("utf-8", errors="replace").splitlines()
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return None
