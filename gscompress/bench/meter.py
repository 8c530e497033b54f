"""What a piece of work cost this process and its children: wall time, CPU time, peak memory."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Cost:
    """seconds and cpu_seconds of the work; peak_mb (10^6 bytes) of the process since its start, None if unknown."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float | None = None


@contextmanager
def metered() -> Iterator[Cost]:
    """Yield a Cost that is filled in when the block ends."""
    cost = Cost()
    started, used = time.perf_counter(), _cpu()
    yield cost
    cost.seconds, cost.cpu_seconds, cost.peak_mb = time.perf_counter() - started, _cpu() - used, _peak()


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak() -> float | None:
    if sys.platform == "win32":
        return None
    import resource

    largest = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return largest * (1 if sys.platform == "darwin" else 1024) / 1e6
