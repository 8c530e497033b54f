"""Limits under which a reader must stay, whatever the file: seconds, and bytes of new memory."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def limits(seconds: float = 5.0, extra_bytes: int = 1 << 30) -> Iterator[None]:
    """Inside the block, more than ``seconds`` raise TimeoutError and more than ``extra_bytes`` raise MemoryError.

    The memory limit needs Linux, the clock needs the main thread; elsewhere that limit is left out.
    """

    def expired(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"still busy after {seconds} s")

    clock = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    previous = signal.signal(signal.SIGALRM, expired) if clock else None
    if clock:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        if sys.platform == "linux":
            with _address_space(extra_bytes):
                yield
        else:
            yield
    finally:
        if clock:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)


@contextmanager
def _address_space(extra_bytes: int) -> Iterator[None]:
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + extra_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
