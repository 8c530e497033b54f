"""How the command line talks: results on stdout, everything else on stderr, progress only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gscompress.errors import UsageError
from gscompress.events import Event, EventLog, Message, PhaseEnd, PhaseStart, Tick

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_UNITS = {"": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


@contextmanager
def progress() -> Iterator[EventLog]:
    """An event log whose events show on stderr: bars and remarks on a terminal, only warnings in a pipe."""
    if not sys.stderr.isatty():
        yield EventLog(_plain)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield EventLog(_Bars(bars))


class _Bars:
    """Phases as a stack of rich progress bars."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._open: list[tuple[TaskID, str]] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, PhaseStart):
            self._open.append((self._bars.add_task(event.name, total=event.total), event.name))
        elif isinstance(event, Tick) and self._open:
            task, name = self._open[-1]
            self._bars.update(task, advance=event.steps, description=f"{name} {event.note}".rstrip())
        elif isinstance(event, PhaseEnd) and self._open:
            self._bars.remove_task(self._open.pop()[0])
        elif isinstance(event, Message):
            self._bars.console.print(_line(event), markup=False, highlight=False, soft_wrap=True)


def _plain(event: Event) -> None:
    if isinstance(event, Message) and event.level == "warning":
        print(_line(event), file=sys.stderr)


def _line(message: Message) -> str:
    text = " ".join(message.text.split())
    return f"warning: {text}" if message.level == "warning" else text


def emit(result: Mapping[str, Any]) -> None:
    """The one JSON object of a ``--json`` run."""
    print(json.dumps(result, indent=2, allow_nan=False, default=str))


def say(text: str) -> None:
    """A line of a human-readable result."""
    print(text)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> None:
    """A table on stdout. The first ``words`` columns hold text, the others numbers (right-aligned)."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, header in enumerate(headers):
        grid.add_column(header, justify="left" if number < words else "right", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    terminal = sys.stdout.isatty()
    Console(markup=False, highlight=False, width=None if terminal else 120).print(grid)


def size_text(size: float) -> str:
    """Bytes for humans, decimal units: 25515673 → "25.5 MB"."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}" if size < 100 * scale else f"{size / scale:.0f} {unit}"
    return f"{size:.0f} B"


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
    return path.stat().st_size


def parse_size(text: str) -> int:
    """``5MB``, ``5 MiB``, ``700k`` or bytes as an integer. Raises UsageError."""
    stripped = text.strip().lower()
    number = stripped.rstrip("bikmg ")
    unit = stripped[len(number) :].strip()
    try:
        size = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        raise UsageError(f"'{text}' is no size: give for example 5MB, 700kB or 5MiB") from None
    if not 1 <= size < 1 << 53:
        raise UsageError(f"'{text}' is out of range for a file size")
    return int(size)


def stem(path: Path) -> str:
    """The file name without its format's suffix, double ones included (a.compressed.ply → a)."""
    name = path.name
    return name[: -len(".compressed.ply")] if name.lower().endswith(".compressed.ply") else path.stem
