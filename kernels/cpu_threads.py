"""Run nogil kernels on a few threads, over parts that do not depend on timing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="gscompress-cpu")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parts(count: int, number: int) -> list[tuple[int, int]]:
    """Cut ``range(count)`` into at most ``number`` even (start, stop) parts, none of them empty."""
    number = max(1, min(number, count))
    return [(count * k // number, count * (k + 1) // number) for k in range(number)] if count else []


def run(kernel: Callable[..., Any], jobs: Iterable[tuple[Any, ...]], threads: int) -> None:
    """Call ``kernel(*job)`` for every job; the first exception is raised here."""
    if threads == 1:
        for job in jobs:
            kernel(*job)
    else:
        for future in [_pool(threads).submit(kernel, *job) for job in jobs]:
            future.result()
