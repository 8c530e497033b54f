"""The PLY container: header, elements and where their rows lie (Turk, "The PLY Polygon File Format", 1994)."""

from __future__ import annotations

import itertools
import os
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from gscompress.errors import UnreadableError

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
TYPE_NAMES = {
    "i1": "char",
    "u1": "uchar",
    "i2": "short",
    "u2": "ushort",
    "i4": "int",
    "u4": "uint",
    "f4": "float",
    "f8": "double",
}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_HEADER_LIMIT = 1 << 20  # bytes
_PROPERTY_LIMIT = 4096  # per element
_BLOCK = 1 << 20  # bytes of rows that are in flight while reading or writing: fits a level 2 cache
_WALK_LIMIT = 1_000_000  # rows of variable length that are stepped over one by one


@dataclass(frozen=True, slots=True)
class Property:
    """A column: numpy scalar code such as "f4"; ``length`` is the code of a list's length, empty for a scalar."""

    name: str
    code: str
    length: str = ""


@dataclass(frozen=True, slots=True)
class Element:
    """A table: ``count`` is what the header claims, not what the file holds."""

    name: str
    count: int
    properties: tuple[Property, ...]

    @property
    def names(self) -> list[str]:
        return [p.name for p in self.properties]


@dataclass(frozen=True, slots=True)
class Header:
    """order: "<", ">" or "" (ASCII); start: offset of the first byte after the header; size: of the whole file."""

    path: Path
    order: str
    elements: tuple[Element, ...]
    comments: tuple[str, ...]
    start: int
    size: int

    def element(self, name: str) -> Element | None:
        return next((e for e in self.elements if e.name == name), None)

    def dtype(self, element: Element) -> np.dtype[Any]:
        """One row of an element without lists. Raises UnreadableError on lists and repeated names."""
        if any(p.length for p in element.properties):
            raise UnreadableError(
                f"{self.path}: element {element.name} has a list property: this is no table of splats"
            )
        if len(set(element.names)) != len(element.names):
            raise UnreadableError(f"{self.path}: element {element.name} names a property twice")
        return np.dtype([(p.name, (self.order or "<") + p.code) for p in element.properties])


def is_ply(head: bytes) -> bool:
    return head.startswith((b"ply\n", b"ply\r", b"ply "))


def read_header(path: Path) -> Header:
    """Parse the header. Raises UnreadableError in one line."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEADER_LIMIT)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from None
    if not is_ply(head):
        raise UnreadableError(f"{path}: not a PLY file")
    lines, start = _split(path, head)
    order: str | None = None
    tables: list[tuple[str, int, list[Property]]] = []
    comments = []
    for line in lines:
        words = line.split()
        if not words:
            continue
        if words[0] in ("comment", "obj_info"):
            comments.append(line.strip().removeprefix("comment").strip())
        elif words[0] == "format":
            order = _ORDERS.get(words[1]) if len(words) > 1 else None
            if order is None:
                raise UnreadableError(f"{path}: unknown PLY encoding in '{line.strip()[:60]}'")
        elif words[0] == "element":
            tables.append((*_element(path, words), []))
        elif words[0] == "property" and tables and len(tables[-1][2]) < _PROPERTY_LIMIT:
            tables[-1][2].append(_property(path, words))
        else:
            raise UnreadableError(f"{path}: PLY header line not understood: '{line.strip()[:60]}'")
    elements = tuple(Element(name, count, tuple(properties)) for name, count, properties in tables)
    if order is None:
        raise UnreadableError(f"{path}: the PLY header has no format line")
    return Header(path, order, elements, tuple(comments), start, size)


def _split(path: Path, head: bytes) -> tuple[list[str], int]:
    """The lines between "ply" and "end_header", and the offset of the body."""
    lines: list[str] = []
    position = 0
    while True:
        newline = head.find(b"\n", position)
        if newline < 0:
            raise UnreadableError(f"{path}: the PLY header has no end_header line: the file is cut off or no PLY")
        line = head[position:newline].decode("utf-8", "replace").rstrip("\r")
        position = newline + 1
        if line.strip() == "end_header":
            return lines[1:], position
        lines.append(line)


def _element(path: Path, words: Sequence[str]) -> tuple[str, int]:
    if len(words) != 3 or not (words[2].isascii() and words[2].isdigit()) or len(words[2]) > 18:
        raise UnreadableError(f"{path}: PLY element with an impossible count: '{' '.join(words)[:60]}'")
    return words[1], int(words[2])


def _property(path: Path, words: Sequence[str]) -> Property:
    codes = [TYPES.get(word, "") for word in words[1:-1]]
    if len(words) == 3 and codes[0]:
        return Property(words[2], codes[0])
    if len(words) == 5 and words[1] == "list" and codes[2] and codes[1][:1] in ("i", "u"):
        return Property(words[4], codes[2], codes[1])
    raise UnreadableError(f"{path}: PLY property not understood: '{' '.join(words)[:60]}'")


def blocks(header: Header, element: Element) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    """The rows of an element in order, as (row range, structured array) blocks that reuse no memory.

    The claimed count is checked against the bytes present before the first block; call ``check`` to do so
    before allocating for it. Raises UnreadableError.
    """
    check(header, element)
    dtype = header.dtype(element)
    step = max(1, _BLOCK // dtype.itemsize)
    ranges = [(row, min(row + step, element.count)) for row in range(0, element.count, step)]
    if header.order:
        with header.path.open("rb") as stream:
            stream.seek(_offset(header, element))
            for row, end in ranges:
                block = np.fromfile(stream, dtype, end - row)
                if len(block) != end - row:
                    raise UnreadableError(f"{header.path}: the file ends in row {row + len(block)} of {element.name}")
                yield slice(row, end), block
    else:
        with header.path.open("rb") as stream:
            lines = _ascii_lines(header, element, stream)
            for row, end in ranges:
                yield slice(row, end), _parse(header, element, dtype, lines, end - row)


def check(header: Header, element: Element) -> None:
    """Raise UnreadableError when the file cannot hold the rows that the header claims."""
    dtype = header.dtype(element)
    if not element.properties:
        raise UnreadableError(f"{header.path}: element {element.name} has no properties")
    # ASCII needs a digit and a separator per value; the last separator may be missing.
    row = dtype.itemsize if header.order else 2 * len(element.properties)
    begin = _offset(header, element) if header.order else header.start - 1
    held = max(0, header.size - begin) // row
    if element.count > held:
        raise UnreadableError(
            f"{header.path}: the header promises {element.count} rows of {element.name}, "
            f"the file has room for {held}: cut off?"
        )


def _offset(header: Header, element: Element) -> int:
    """Where the rows of an element of a binary file begin: everything before it is stepped over."""
    position, walked = header.start, 0
    for other in header.elements:
        if other is element:
            return position
        if not any(p.length for p in other.properties):
            position += other.count * sum(int(p.code[1]) for p in other.properties)
        else:
            walked += other.count
            if walked > min(_WALK_LIMIT, header.size):
                raise UnreadableError(f"{header.path}: {walked} rows with lists stand before {element.name}")
            position = _walk(header, other, position)
    raise ValueError(f"{element.name} is not of this header")


def _walk(header: Header, element: Element, position: int) -> int:
    """Step over rows that hold lists, from ``position`` to the byte after them."""
    steps = [
        (struct.Struct(header.order + np.dtype(p.length).char), int(p.code[1])) if p.length else (None, int(p.code[1]))
        for p in element.properties
    ]
    body = np.memmap(header.path, np.uint8, "r").data
    for _ in range(element.count):
        for length, width in steps:
            if length is None:
                position += width
                continue
            if position + length.size > header.size:
                raise UnreadableError(f"{header.path}: the file ends inside element {element.name}")
            items = length.unpack_from(body, position)[0]
            if items < 0:
                raise UnreadableError(f"{header.path}: a list of element {element.name} has {items} entries")
            position += length.size + items * width
    return position


def _ascii_lines(header: Header, element: Element, stream: BinaryIO) -> Iterator[str]:
    """The lines of an element of an ASCII file and all that follow, blank ones left out."""
    stream.seek(header.start)
    lines = (line.decode("latin-1") for line in stream if not line.isspace())
    for other in header.elements:
        if other is element:
            return lines
        for _ in itertools.islice(lines, min(other.count, header.size)):
            pass
    raise ValueError(f"{element.name} is not of this header")


def _parse(header: Header, element: Element, dtype: np.dtype[Any], lines: Iterator[str], rows: int) -> npt.NDArray[Any]:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            values = np.loadtxt(itertools.islice(lines, rows), np.float64, comments=None, ndmin=2)
            if values.shape != (rows, len(element.properties)):
                raise ValueError("wrong number of values")
            block = np.empty(rows, dtype)
            for column, name in enumerate(element.names):
                block[name] = values[:, column]
            return block
    except ValueError as error:
        raise UnreadableError(
            f"{header.path}: bad ASCII row in element {element.name}: {str(error).splitlines()[0]}"
        ) from None


def header_bytes(tables: Sequence[tuple[str, int, np.dtype[Any]]], comments: Sequence[str] = ()) -> bytes:
    """A little-endian header for tables of (name, rows, structured dtype)."""
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += ["comment " + " ".join(text.split("\n")).replace("\r", " ").strip() for text in comments]
    for name, count, dtype in tables:
        lines.append(f"element {name} {count}")
        for column in dtype.names or ():
            lines.append(f"property {TYPE_NAMES[dtype[column].str[1:]]} {column}")
    return ("\n".join([*lines, "end_header"]) + "\n").encode()


def row_ranges(count: int, itemsize: int) -> Iterator[slice]:
    """Row ranges of about a megabyte."""
    step = max(1, _BLOCK // max(1, itemsize))
    return (slice(row, min(row + step, count)) for row in range(0, count, step))
