"""The NeRF synthetic layout: ``transforms_{train,val,test}.json`` with ``camera_angle_x``, RGBA pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gscompress.datasets import nerfstudio
from gscompress.datasets.view import Split, View
from gscompress.errors import UnreadableError

FILES: tuple[tuple[str, Split], ...] = (("transforms_train.json", "train"), ("transforms_test.json", "test"))


def matches(folder: Path) -> bool:
    """Whether ``folder`` has this layout."""
    return any((folder / name).is_file() for name, _ in FILES)


def load(folder: Path) -> list[View]:
    """The train views, then the test views, as the files split them. Raises UnreadableError."""
    views: list[View] = []
    for name, split in FILES:
        if (folder / name).is_file():
            views += [replace(view, split=split) for view in nerfstudio.load(folder / name)]
    if not views:
        raise UnreadableError(f"{folder}: no transforms_train.json or transforms_test.json")
    return views
