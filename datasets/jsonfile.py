"""Checked access to JSON that other programs wrote: every complaint names the file, the entry and the key."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.datasets.pose import plausible
from gscompress.errors import UnreadableError

LARGEST = 256 << 20
"""Bytes. A camera file of a million frames stays below this; anything larger is not one."""


def load(path: Path) -> Any:
    """Parse a JSON file. Raises UnreadableError (missing, too large, not UTF-8, not JSON, nested too deeply)."""
    try:
        if path.stat().st_size > LARGEST:
            raise UnreadableError(f"{path}: {path.stat().st_size} bytes is too large for a camera file")
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnreadableError(f"{path}: not UTF-8 text") from None
    except RecursionError:
        raise UnreadableError(f"{path}: JSON is nested too deeply") from None
    except ValueError as error:
        raise UnreadableError(f"{path}: not valid JSON: {error}") from None


def record(value: Any, where: str) -> Mapping[str, Any]:
    """``value`` if it is a JSON object."""
    if not isinstance(value, dict):
        raise UnreadableError(f"{where}: expected an object, got {type(value).__name__}")
    return value


def listing(source: Mapping[str, Any], key: str, where: str) -> list[Any]:
    """A non-empty array under ``key``."""
    value = source.get(key)
    if not isinstance(value, list) or not value:
        raise UnreadableError(f"{where}: '{key}' must be a non-empty array")
    return value


def number(source: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    """A finite number under ``key``; a missing one is an error unless ``default`` is given."""
    value = source.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnreadableError(f"{where}: '{key}' must be a number" if key in source else f"{where}: '{key}' is missing")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not plausible(value):
        raise UnreadableError(f"{where}: '{key}' is not finite (or over 1e30)")
    return value


def text(source: Mapping[str, Any], key: str, where: str) -> str:
    """A string under ``key``."""
    value = source.get(key)
    if not isinstance(value, str):
        raise UnreadableError(f"{where}: '{key}' must be a string" if key in source else f"{where}: '{key}' is missing")
    return value


def array(source: Mapping[str, Any], key: str, shapes: tuple[tuple[int, ...], ...], where: str) -> npt.NDArray[Any]:
    """A finite float64 array under ``key`` with one of ``shapes``."""
    if key not in source:
        raise UnreadableError(f"{where}: '{key}' is missing")
    expected = " or ".join("x".join(map(str, shape)) for shape in shapes)
    try:
        value = np.asarray(source[key], np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UnreadableError(f"{where}: '{key}' must be {expected} numbers") from None
    if value.shape not in shapes:
        raise UnreadableError(f"{where}: '{key}' must be {expected} numbers, got shape {value.shape}")
    if not plausible(value):
        raise UnreadableError(f"{where}: '{key}' has values that are not finite (or over 1e30)")
    return value
