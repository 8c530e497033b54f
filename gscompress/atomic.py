"""Outputs appear whole or not at all: write to a hidden folder beside the target, then rename."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gscompress.errors import OutputExistsError, UsageError


def check_target(path: Path, *, force: bool) -> None:
    """Refuse an output before any work is done. Raises OutputExistsError, UsageError."""
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists: add --force to replace it")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is not a folder: create it first")


@contextmanager
def staged(target: str | os.PathLike[str], *, force: bool = False) -> Iterator[Path]:
    """Yield a temporary path with the target's name; it replaces the target when the block ends well.

    Works for a file and for a folder. Files written beside the yielded path move along with it (formats of several
    files), the target last. Raises OutputExistsError when one of them exists and ``force`` is off, UsageError when
    the parent folder is missing or not writable.
    """
    path = Path(target)
    check_target(path, force=force)
    try:
        folder = Path(tempfile.mkdtemp(prefix=".gscompress-", dir=path.parent))
    except OSError as error:
        raise UsageError(f"cannot write to {path.parent}: {error.strerror}") from None
    try:
        yield folder / path.name
        if path.is_dir() and not path.is_symlink():
            if not (folder / path.name).is_dir():
                raise UsageError(f"{path} is a folder, the output is a file: choose another name")
            shutil.rmtree(path)
        companions = [item.name for item in folder.iterdir() if item.name != path.name]
        for name in companions:
            if (path.parent / name).exists() and not force:
                raise OutputExistsError(f"{path.parent / name} exists: add --force to replace it")
        for name in (*sorted(companions), path.name):
            os.replace(folder / name, path.parent / name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
