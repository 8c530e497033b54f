"""Checkpoints and npz archives of fields as plain arrays and facts, with nothing in them ever executed.

PyTorch files go through ``weights_only``: tensors, numpy arrays and plain containers, nothing else. Optimiser states
are left out while flattening, whatever they are called.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gscompress.errors import MissingExtraError, UnreadableError
from gscompress.events import EventLog
from gscompress.field import Array
from gscompress.formats import checkpoint
from gscompress.formats.bundle import ZIP
from gscompress.formats.field_base import Content

SUFFIXES = (".ckpt", ".pt", ".pth", ".tar", ".npz", ".th")
_DEPTH = 8
_OPTIMISERS = ("optimizer", "scheduler", "scaler", "lr_")
_MOST = 1 << 31  # values of one array
_Item = tuple[str, Any]


def could_be(path: Path) -> bool:
    """Whether it is worth opening: by suffix, or a zip or pickle by its first bytes."""
    if not path.name.lower().endswith(SUFFIXES):
        return False
    with path.open("rb") as stream:
        head = stream.read(4)
    return head == ZIP or head[:1] == b"\x80"


def load(path: Path, log: EventLog) -> Content:
    """Unpack a file. Raises UnreadableError, MissingExtraError."""
    if not path.is_file():
        raise UnreadableError(f"{path}: no such file")
    items = _npz(path) if path.suffix.lower() == ".npz" else list(_flatten(checkpoint.load(path), "", _DEPTH))
    arrays: dict[str, Array] = {}
    facts: dict[str, Any] = {}
    for name, value in items:
        if isinstance(value, (bool, int, float, str, list)):
            facts[name] = value
        else:
            arrays[name] = _array(path, name, value)
    return Content(path, arrays, facts, log)


def save(tree: Mapping[str, Any], path: Path, suffix: str) -> None:
    """Write what a layout built: a torch checkpoint of tensors, or an npz. Raises MissingExtraError."""
    if suffix == ".npz":
        with path.open("wb") as stream:
            np.savez(stream, **{name: np.asarray(value) for name, value in tree.items()})  # type: ignore[arg-type]
        return
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "nerf", f"writing {path.name}") from None
    torch.save(_as_torch(tree), path)


def _as_torch(value: Any) -> Any:
    import torch

    if isinstance(value, Mapping):
        return {key: _as_torch(item) for key, item in value.items()}
    return torch.from_numpy(np.array(value, order="C")) if isinstance(value, np.ndarray) else value


def _flatten(value: Any, prefix: str, depth: int) -> Iterator[_Item]:
    """(dotted name, leaf) of nested dictionaries; leaves are tensors, arrays and plain values."""
    name = prefix.removesuffix(".")
    if isinstance(value, Mapping) and depth:
        for key, item in value.items():
            if isinstance(key, str) and not key.lower().startswith(_OPTIMISERS):
                yield from _flatten(item, f"{prefix}{key}.", depth - 1)
    elif hasattr(value, "numpy") or isinstance(value, (np.ndarray, bool, int, float, str)):
        yield name, value
    elif isinstance(value, (tuple, list)) and all(isinstance(item, (bool, int, float, str)) for item in value):
        yield name, list(value)


def _array(path: Path, name: str, value: Any) -> Array:
    """float32, bool, int32 or uint8 copy of a tensor or array. Raises UnreadableError for what cannot be one."""
    try:
        if hasattr(value, "numpy"):
            plain = str(value.layout) == "torch.strided" and value.device.type == "cpu"
            if not plain or value.numel() > min(_MOST, path.stat().st_size):
                raise UnreadableError(f"{path}: '{name}' is a {value.layout} tensor of shape {tuple(value.shape)}")
            value = (value.detach().float() if value.is_floating_point() else value.detach()).numpy()
        if value.dtype.kind == "f":
            return np.array(value, np.float32, order="C")
        if value.dtype.kind in "iu" and value.dtype.itemsize > 1:
            return np.array(np.clip(value, -(1 << 31), (1 << 31) - 1), np.int32, order="C")
        if value.dtype.kind in "biu":
            return np.array(value, order="C")
    except (RuntimeError, ValueError, TypeError) as error:
        raise UnreadableError(f"{path}: '{name}' cannot be read: {error}") from None
    raise UnreadableError(f"{path}: '{name}' is of type {value.dtype}, which no radiance field has")


def _npz(path: Path) -> list[_Item]:
    """Arrays of an npz; pickled ones are refused, and no header is believed beyond the file's own size."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > 1024 * path.stat().st_size + (64 << 20):
                raise UnreadableError(f"{path}: refused as a decompression bomb")
            items = []
            for info in archive.infolist():
                with archive.open(info) as stream:
                    version = np.lib.format.read_magic(stream)
                    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
                    shape, _, dtype = (reader or np.lib.format.read_array_header_2_0)(stream)
                if dtype.hasobject:
                    raise UnreadableError(f"{path}: '{info.filename}' holds Python objects, which are never loaded")
                if math.prod(shape) * dtype.itemsize > info.file_size:
                    raise UnreadableError(f"{path}: '{info.filename}' is cut short")
                with archive.open(info) as stream:
                    array = np.lib.format.read_array(stream, allow_pickle=False)
                text = str(array) if array.dtype.kind == "U" and not array.ndim else None
                items.append((info.filename.removesuffix(".npy"), array if text is None else text))
            return items
    except UnreadableError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise UnreadableError(f"{path}: not a readable npz: {error}") from None
