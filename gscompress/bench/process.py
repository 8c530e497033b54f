"""Start a worker, wait for it within a time limit, and leave no process behind when it fails or is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# The installed package, even when the current folder has one of the same name (a checkout holds only a part of it).
_WORKER = "import sys; sys.path[:1] = []; from gscompress.bench.worker import main; sys.exit(main(*sys.argv[1:4]))"
_live: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


def work(task: str, job: Mapping[str, Any], folder: Path, timeout: float, threads: int | None = None) -> dict[str, Any]:
    """Run a task of ``worker`` in a process of its own; ``{"error": …}`` when it fails, whichever way.

    What it prints is added to ``log.txt`` in the folder. threads: what numerical libraries may use.
    """
    order, result, log = folder / f"{task}.job.json", folder / f"{task}.result.json", folder / "log.txt"
    order.write_text(json.dumps(job), "utf-8")
    result.unlink(missing_ok=True)
    command = [sys.executable, "-c", _WORKER, task, str(order), str(result)]
    limits = {} if threads is None else {name: str(threads) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    with log.open("ab") as stream:
        stream.write(f"--- {task}\n".encode())
        stream.flush()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **limits},
            start_new_session=True,
        )
        with _lock:
            _live.add(process)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            return {"error": f"{task} was not done after {timeout:g} s", "timed_out": True}
        finally:
            _end(process)
    out = _result(result, log, process.returncode, task)
    order.unlink(missing_ok=True)
    result.unlink(missing_ok=True)
    return out


@contextmanager
def guarded() -> Iterator[None]:
    """Inside, SIGTERM (of ``timeout``, or of a batch system) ends what runs before it ends us, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        end_all()
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def end_all() -> None:
    """Kill every worker that still runs, with all that it started."""
    with _lock:
        left = list(_live)
    for process in left:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The worker leads a session of its own, so the group is the worker and whatever it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()
    with _lock:
        _live.discard(process)


def _result(result: Path, log: Path, code: int, task: str) -> dict[str, Any]:
    if code == 0 and result.exists():
        return dict(json.loads(result.read_text("utf-8")))
    if code == -signal.SIGKILL.value:
        return {"error": f"{task} was killed, probably for want of memory"}
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return {"error": f"{task} ended with code {code}: {lines[-1][-300:] if lines else 'it said nothing'}"}
