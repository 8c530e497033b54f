"""A cursor over a little-endian binary file that never reads, or believes a count, past the end."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from gscompress.errors import UnreadableError


class Cursor:
    """Reads front to back. Every method raises UnreadableError when the file ends too early."""

    def __init__(self, path: Path) -> None:
        self.path, self._at = path, 0
        try:
            self._data = path.read_bytes()
        except OSError as error:
            raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from None

    def take(self, layout: str) -> tuple[Any, ...]:
        """Values by ``struct`` layout, without padding."""
        return self.unpack(struct.Struct(f"<{layout}"))

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        start = self._at
        self.skip(layout.size)
        return layout.unpack_from(self._data, start)

    def skip(self, size: int) -> None:
        if size > len(self._data) - self._at:
            raise UnreadableError(f"{self.path}: truncated at byte {len(self._data)}")
        self._at += size

    def count(self, least: int) -> int:
        """A 64-bit count of records of at least ``least`` bytes each that must still fit."""
        (count,) = self.take("Q")
        if count * least > len(self._data) - self._at:
            raise UnreadableError(f"{self.path}: promises {count} records at byte {self._at}, which do not fit")
        return int(count)

    def name(self) -> str:
        """A zero-terminated UTF-8 string."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise UnreadableError(f"{self.path}: a name without end at byte {self._at}")
        text = self._data[self._at : end].decode("utf-8", "replace")
        self._at = end + 1
        return text
