"""glTF 2.0 as a file: GLB chunks, JSON, buffers, and accessors as numpy arrays. Every number is checked before use."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError, UsageError
from gscompress.formats.bundle import FolderBundle

MAGIC = b"glTF"
_JSON_CHUNK, _BIN_CHUNK = 0x4E4F534A, 0x004E4942
_TYPES: dict[int, np.dtype[Any]] = {
    5120: np.dtype("<i1"),
    5121: np.dtype("<u1"),
    5122: np.dtype("<i2"),
    5123: np.dtype("<u2"),
    5125: np.dtype("<u4"),
    5126: np.dtype("<f4"),
}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_MAX_BUFFER = 1 << 32


@dataclass(slots=True)
class Document:
    """An open glTF file. ``stored``: its bytes, external buffers included as they are read."""

    path: Path
    json: Mapping[str, Any]
    binary: bytes
    stored: int
    _buffers: dict[int, bytes] = field(default_factory=dict)

    def item(self, kind: str, index: object) -> Mapping[str, Any]:
        """Entry ``index`` of a top-level list. Raises UnreadableError when there is none."""
        items = self.json.get(kind)
        if not isinstance(items, list) or not isinstance(index, int) or not 0 <= index < len(items):
            raise UnreadableError(f"{self.path}: there is no entry {index!r:.40} in {kind}")
        if not isinstance(items[index], dict):
            raise UnreadableError(f"{self.path}: entry {index} of {kind} is no object")
        return items[index]

    def size(self, owner: Mapping[str, Any], key: str, default: int | None = None) -> int:
        """A non-negative integer field."""
        value = owner.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
            raise UnreadableError(f"{self.path}: {key} is {value!r:.40}, expected a non-negative integer")
        return value

    def view(self, index: object) -> tuple[memoryview, int]:
        """The bytes of a buffer view, and its stride (0: tightly packed)."""
        view = self.item("bufferViews", index)
        if "EXT_meshopt_compression" in str(view.get("extensions")):
            raise UnreadableError(f"{self.path}: meshopt-compressed: unpack it first, for example with gltf-transform")
        data = self._buffer(self.size(view, "buffer"))
        start, length = self.size(view, "byteOffset", 0), self.size(view, "byteLength")
        if start + length > len(data):
            raise UnreadableError(f"{self.path}: buffer view {index} ends at byte {start + length:,} of {len(data):,}")
        return memoryview(data)[start : start + length], self.size(view, "byteStride", 0)

    def accessor(self, index: object, kind: str) -> npt.NDArray[np.float32]:
        """(count, width) float32; normalised integers as the specification says. ``kind``: "VEC3" and the like."""
        accessor = self.item("accessors", index)
        dtype = _TYPES.get(self.size(accessor, "componentType"))
        if accessor.get("type") != kind or dtype is None:
            raise UnreadableError(f"{self.path}: accessor {index} is no {kind} of a known component type")
        if "sparse" in accessor or "bufferView" not in accessor:
            raise UnreadableError(f"{self.path}: accessor {index} is sparse, which gscompress does not read")
        data, stride = self.view(accessor["bufferView"])
        width = _WIDTHS[kind]
        count, start = self.size(accessor, "count"), self.size(accessor, "byteOffset", 0)
        stride = stride or width * dtype.itemsize
        needed = start + stride * (count - 1) + width * dtype.itemsize if count else 0
        if needed > len(data) or stride < width * dtype.itemsize:
            raise UnreadableError(f"{self.path}: accessor {index} needs {needed:,} bytes of a view of {len(data):,}")
        values = np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize)) if count else None
        if values is None:
            return np.empty((0, width), np.float32)
        if accessor.get("normalized") is True and dtype.kind in "iu":
            return np.maximum(values / np.float32(np.iinfo(dtype).max), np.float32(-1)).astype(np.float32)
        return values.astype(np.float32)

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            data = self._load(self.item("buffers", index), index)
            self._buffers[index] = data
        return self._buffers[index]

    def _load(self, buffer: Mapping[str, Any], index: int) -> bytes:
        uri = buffer.get("uri")
        length = self.size(buffer, "byteLength")
        if uri is None and index == 0:
            data = self.binary
        elif not isinstance(uri, str):
            raise UnreadableError(f"{self.path}: buffer {index} has no data")
        elif uri[:5].lower() == "data:":
            data = self._decode(uri, index)
        elif "://" in uri:
            raise UnreadableError(f"{self.path}: buffer {index} lies on the network: download it first")
        else:
            data = FolderBundle(self.path.parent).read(unquote(uri), _MAX_BUFFER)
            self.stored += len(data)
        if len(data) < length:
            raise UnreadableError(f"{self.path}: buffer {index} has {len(data):,} bytes, expected {length:,}")
        return data

    def _decode(self, uri: str, index: int) -> bytes:
        head, _, body = uri.partition(",")
        if not head.endswith(";base64"):
            raise UnreadableError(f"{self.path}: buffer {index} is a data URI without base64")
        try:
            return base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as error:
            raise UnreadableError(f"{self.path}: buffer {index} is damaged: {error}") from None


def open_document(path: Path) -> Document:
    """Read a .glb or .gltf file. Raises UnreadableError."""
    data = path.read_bytes()
    text, binary = _chunks(path, data) if data[:4] == MAGIC else (data, b"")
    try:
        document = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{path}: the glTF JSON is damaged: {str(error).splitlines()[0]}") from None
    asset = document.get("asset") if isinstance(document, dict) else None
    if not isinstance(asset, dict):
        raise UnreadableError(f"{path}: not a glTF file (no asset)")
    if not str(asset.get("version", "")).startswith("2"):
        raise UnreadableError(f"{path}: glTF version {str(asset.get('version'))[:20]!r:.40}, expected 2.0")
    return Document(path, document, binary, len(data))


def glb_bytes(document: Mapping[str, Any], binary: bytes) -> bytes:
    """A GLB file of one JSON and one binary chunk. Raises UsageError beyond 4 GiB."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    total = 28 + len(text) + len(binary)
    if total >= 1 << 32:
        raise UsageError(f"{total:,} bytes: a .glb file holds less than 4 GiB: write a .gltf or another format")
    head = struct.pack("<4sIIII", MAGIC, 2, total, len(text), _JSON_CHUNK)
    return b"".join([head, text, struct.pack("<II", len(binary), _BIN_CHUNK), binary])


def _chunks(path: Path, data: bytes) -> tuple[bytes, bytes]:
    """The JSON chunk and the first binary chunk of a GLB file."""
    if len(data) < 20:
        raise UnreadableError(f"{path}: the file ends inside the GLB header")
    _, version, total = struct.unpack_from("<4sII", data)
    if version != 2:
        raise UnreadableError(f"{path}: GLB version {version}, expected 2")
    if total > len(data):
        raise UnreadableError(f"{path}: cut off: {len(data):,} of {total:,} bytes")
    found: dict[int, bytes] = {}
    position = 12
    while position + 8 <= total:
        length, kind = struct.unpack_from("<II", data, position)
        if position + 8 + length > total:
            raise UnreadableError(f"{path}: a GLB chunk of {length:,} bytes does not fit the file")
        found.setdefault(kind, data[position + 8 : position + 8 + length])
        position += 8 + length
    if _JSON_CHUNK not in found:
        raise UnreadableError(f"{path}: the GLB has no JSON chunk")
    return found[_JSON_CHUNK], found.get(_BIN_CHUNK, b"")
