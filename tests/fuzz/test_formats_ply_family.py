"""Damaged files of the PLY family: every reader answers with a scene or UnreadableError, fast, in little memory."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from guard import limits
from mutate import mutations, truncations

from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.compressed_ply import CompressedPlyFormat
from gscompress.formats.ksplat import KsplatFormat
from gscompress.formats.npz import NpzFormat
from gscompress.formats.ply import PlyFormat
from gscompress.formats.splat import SplatFormat
from gscompress.scene import Scene

FIXTURES = Path(__file__).parent.parent / "fixtures"
COUNT = 800  # mutations of each file, on top of every truncation
ASCII = b"""ply
format ascii 1.0
comment SplatRenderMode: mip
comment gscompress meta {"a": 1}
element camera 2
property list uchar float at
element vertex 3
property float x
property float y
property float z
property float f_dc_0
property float f_dc_1
property float f_dc_2
property float opacity
property double scale_0
property float scale_1
property uchar id
end_header
3 1 2 3
1 4
1 2 3 .1 .2 .3 -1.5 -4 -4 7
1 2 -3e5 .1 .2 .3 nan -4 -4 255
1 2 3 .1 .2 .3 inf -4 -4 0
"""


def _few(rows: int) -> Scene:
    scene = PlyFormat().read(FIXTURES / "fruit.ply", EventLog())
    return replace(scene, splats=scene.splats.take(slice(rows)))


def _seeds(folder: Path) -> dict[str, tuple[Format, bytes]]:
    """One small file of each kind: name to (format, bytes)."""
    seeds: dict[str, tuple[Format, bytes]] = {"ascii.ply": (PlyFormat(), ASCII)}
    meshed = ASCII.replace(b"format ascii", b"format binary_little_endian").partition(b"end_header\n")
    body = b"\x03" + bytes(12) + b"\x01" + bytes(4) + bytes(3 * 41)
    seeds["lists.ply"] = (PlyFormat(), meshed[0] + meshed[1] + body)
    writers: dict[str, Format] = {"a.ply": PlyFormat(), "a.compressed.ply": CompressedPlyFormat()}
    writers |= {"a.splat": SplatFormat(), "a.npz": NpzFormat()}
    for name, fmt in writers.items():
        fmt.write(_few(5), folder / name, EventLog())
        seeds[name] = (fmt, (folder / name).read_bytes())
    for level in range(3):
        whole = (FIXTURES / f"fruit.level{level}.ksplat").read_bytes()
        seeds[f"a{level}.ksplat"] = (KsplatFormat(), whole)
    return seeds


NAMES = [
    "ascii.ply",
    "lists.ply",
    "a.ply",
    "a.compressed.ply",
    "a.splat",
    "a.npz",
    "a0.ksplat",
    "a1.ksplat",
    "a2.ksplat",
]


def _damaged(name: str, data: bytes, count: int) -> Iterator[bytes]:
    """Truncations (all of a small file, some of a large one) and mutations; of a .ksplat mostly where its facts are."""
    step = 1 + len(data) // 1000
    if not name.endswith(".ksplat"):
        return itertools.chain(truncations(data, step), mutations(data, count, seed=1))
    facts, rest = data[:64] + data[4096:4160] + data[5120:5184], (data[64:4096], data[4160:5120], data[5184:])
    mutants = (
        m[:64] + rest[0] + m[64:128] + rest[1] + m[128:192] + rest[2]
        for m in mutations(facts, count, seed=1)
        if len(m) == 192
    )
    return itertools.chain(truncations(data, 8 * step), mutants, mutations(data, count // 4, seed=2))


def survive(fmt: Format, path: Path, data: bytes) -> Scene | None:
    """Read ``data``; anything but a scene or an UnreadableError fails the test."""
    path.unlink(missing_ok=True)  # some file systems flush to disk when a file is overwritten in place
    path.write_bytes(data)
    try:
        with limits():
            return fmt.read(path, EventLog())
    except UnreadableError as error:
        message = str(error)
    assert "\n" not in message, message
    assert len(message) < 600, message
    return None


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    fmt, data = _seeds(tmp_path)[name]
    path = tmp_path / ("damaged-" + name)
    assert survive(fmt, path, data) is not None
    refused = total = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for damaged in _damaged(name, data, COUNT):
            total += 1
            refused += survive(fmt, path, damaged) is None
            fmt.sniff(path, damaged[:65536])
    assert total > COUNT
    assert refused > total / 20


MINIMUM = b"x y z opacity scale_0 scale_1 f_dc_0 f_dc_1 f_dc_2".split()


@pytest.mark.parametrize(
    "header",
    [
        b"element vertex 1000000000000000000\n" + b"".join(b"property float %b\n" % name for name in MINIMUM),
        b"".join(b"element a%d 999999999\nproperty list uchar float v\n" % i for i in range(20000)),
        b"element vertex 1\n" + b"".join(b"property char p%d\n" % i for i in range(50000)),
        b"".join(b"comment SplatRenderMode: mip\n" for _ in range(35000)),
        b'comment gscompress meta {"a":' + b"[" * 200000 + b"\n",
        b"element vertex " + b"9" * 500000 + b"\n",
    ],
    ids=["rows", "elements", "properties", "comments", "nesting", "digits"],
)
@pytest.mark.parametrize("encoding", [b"ascii", b"binary_little_endian"])
def test_absurd_headers_are_refused_at_once(header: bytes, encoding: bytes, tmp_path: Path) -> None:
    data = b"ply\nformat " + encoding + b" 1.0\n" + header + b"end_header\n" + b"1 " * 5000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert survive(PlyFormat(), tmp_path / "a.ply", data) is None
