"""Damaged SPZ, SOG, glTF and checkpoint files: a scene or UnreadableError, fast, in little memory."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import io
import itertools
import json
import struct
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zstandard
from guard import limits
from mutate import mutations, truncations

from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.formats.base import Format
from gscompress.formats.checkpoint import CheckpointFormat
from gscompress.formats.gltf import GltfFormat
from gscompress.formats.ply import PlyFormat
from gscompress.formats.sog import SogFormat
from gscompress.formats.spz import SpzFormat
from gscompress.scene import Scene

FIXTURES = Path(__file__).parent.parent / "fixtures"
COUNT = 250  # mutations of each file, on top of the truncations
HAS_TORCH = importlib.util.find_spec("torch") is not None
FORMATS: dict[str, Format] = {
    ".spz": SpzFormat(),
    ".sog": SogFormat(),
    ".json": SogFormat(),
    ".glb": GltfFormat(),
    ".gltf": GltfFormat(),
    ".pt": CheckpointFormat(),
}


def few(rows: int, degree: int = 3) -> Scene:
    scene = PlyFormat().read(FIXTURES / "fruit.ply", EventLog())
    return replace(scene, splats=scene.splats.take(slice(rows)).with_sh_degree(degree))


def seed_file(name: str, folder: Path) -> bytes:
    """The whole bytes of a small file; ``.raw`` in a name asks for what is inside the compression."""
    path = folder / name
    if name == "raw.spz":
        return gzip.decompress((FIXTURES / "fruit.v3.spz").read_bytes())
    if name == "v4.spz":
        SpzFormat(axes="RDF").write(few(7), path, EventLog())
    elif name == "v3.spz":
        SpzFormat(version=3).write(few(7), path, EventLog())
    elif name == "meta.json":
        SogFormat().write(few(7), path, EventLog())
    elif name == "a.pt":
        _write_checkpoint(path)
    else:
        FORMATS[path.suffix].write(few(5, degree=1), path, EventLog())
    return path.read_bytes()


def _write_checkpoint(path: Path) -> None:
    import torch

    s = few(5).splats
    arrays = {"means": s.means, "scales": s.log_scales, "quats": s.quats, "opacities": s.logit_opacities}
    arrays |= {"sh0": s.sh[:, :1], "shN": s.sh[:, 1:]}
    torch.save({"step": 1, "splats": {key: torch.from_numpy(a.copy()) for key, a in arrays.items()}}, path)


def survive(fmt: Format, path: Path, data: bytes) -> Scene | None:
    """Read ``data``; anything but a scene or an UnreadableError fails the test."""
    path.write_bytes(data)
    fmt.sniff(path, data[:65536])
    try:
        with limits():
            return fmt.read(path, EventLog())
    except UnreadableError as error:
        message = str(error)
    assert "\n" not in message, message
    assert len(message) < 600, message
    return None


NAMES = ["v4.spz", "v3.spz", "raw.spz", "a.sog", "meta.json", "a.glb", "a.gltf", "a.pt"]


def damaged_copies(data: bytes, count: int) -> Iterator[bytes]:
    step = 1 + len(data) // 500
    return itertools.chain(truncations(data, step), mutations(data, count, seed=3))


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    if name.endswith(".pt") and not HAS_TORCH:
        pytest.skip("needs torch")
    data = seed_file(name, tmp_path)
    path = tmp_path / (name if name == "meta.json" else "damaged-" + name)
    fmt = FORMATS[path.suffix]
    assert survive(fmt, path, data) is not None
    total = refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for damaged in damaged_copies(data, COUNT):
            total += 1
            refused += survive(fmt, path, damaged) is None
    assert total > COUNT
    assert refused > total / 20


@pytest.mark.parametrize("picture", ["means_l.webp", "quats.webp", "shN_centroids.webp", "shN_labels.webp"])
def test_damaged_pictures_are_read_or_refused(picture: str, tmp_path: Path) -> None:
    SogFormat().write(few(40), tmp_path / "meta.json", EventLog())
    data = (tmp_path / picture).read_bytes()
    for damaged in damaged_copies(data, COUNT // 2):
        (tmp_path / picture).write_bytes(damaged)
        with limits(), contextlib.suppress(UnreadableError):
            SogFormat().read(tmp_path, EventLog())


def _header(version: int, count: int, degree: int, *rest: int) -> bytes:
    return struct.pack("<4sII4B", b"NGSP", version, count, degree, 12, 0, *rest)


def _zstd_bomb(claimed: int) -> bytes:
    """A v4 file whose streams unpack to gigabytes, while the table claims the sizes of ``claimed`` Gaussians."""
    chunk = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    sizes = [claimed * width for width in (9, 1, 3, 3, 4)]
    table = b"".join(struct.pack("<QQ", len(chunk), size) for size in sizes)
    return _header(4, claimed, 0, 5) + struct.pack("<I12x", 32) + table + chunk * 5


def _zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", b"[" * (1 << 26))
    return out.getvalue()


def _huge_picture() -> bytes:
    """A SOG file whose first picture declares 16384 x 16384 pixels in 40 bytes."""
    header = b"VP8L" + struct.pack("<IB I", 20, 0x2F, 0x3FFF | 0x3FFF << 14) + bytes(20)
    meta = {"version": 2, "count": 4, "means": {"mins": [0] * 3, "maxs": [1] * 3, "files": ["a", "a"]}}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"RIFF" + struct.pack("<I", len(header) + 4) + b"WEBP" + header)
        archive.writestr("meta.json", json.dumps(meta))
    return out.getvalue()


BOMBS = {
    "count.spz": gzip.compress(_header(3, 2**32 - 1, 3, 0)),
    "gzip.spz": gzip.compress(_header(3, 60_000_000, 0, 0) + bytes(1 << 26)),
    "zstd.spz": _zstd_bomb(1000),
    "zstd-count.spz": _zstd_bomb(200_000_000),
    "degree.spz": gzip.compress(_header(3, 1, 200, 0) + bytes(999)),
    "bomb.sog": _zip_bomb(),
    "picture.sog": _huge_picture(),
    "nested.gltf": b'{"asset":' + b"[" * 200_000,
    "digits.gltf": b'{"asset":{"version":"2"},"scene":' + b"9" * 4000 + b',"scenes":[{}],"nodes":[{}]}',
    "deep.glb": b"glTF" + struct.pack("<IIII", 2, 2**32 - 1, 2**32 - 1, 0x4E4F534A) + bytes(100),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_at_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    assert survive(FORMATS[path.suffix], path, BOMBS[name]) is None


@pytest.mark.skipif(not HAS_TORCH, reason="needs torch")
def test_an_expanded_tensor_is_refused(tmp_path: Path) -> None:
    import torch

    rows = 1 << 30
    splats = {"means": (3,), "scales": (3,), "quats": (4,), "opacities": (), "sh0": (1, 3), "shN": (15, 3)}
    path = tmp_path / "a.pt"
    torch.save({"splats": {name: torch.zeros(1).expand(rows, *tail) for name, tail in splats.items()}}, path)
    assert survive(CheckpointFormat(), path, path.read_bytes()) is None


def test_a_shared_accessor_cannot_claim_gigabytes(tmp_path: Path) -> None:
    """Every node draws the same mesh: the file is small, the scene would not be."""
    GltfFormat().write(few(100), tmp_path / "a.gltf", EventLog())
    document = json.loads((tmp_path / "a.gltf").read_text())
    document["nodes"] = [{"mesh": 0}] * 100_000
    document["scenes"] = [{"nodes": list(range(100_000))}]
    assert survive(GltfFormat(), tmp_path / "b.gltf", json.dumps(document).encode()) is None


def test_noise_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for magic in (b"", b"NGSP", b"PK\x03\x04", b"glTF\x02\0\0\0", b"\x1f\x8b", b"{", b"\x80\x02"):
        for suffix, fmt in FORMATS.items():
            if suffix != ".pt" or HAS_TORCH:
                assert survive(fmt, tmp_path / f"noise{suffix}", magic + rng.bytes(500)) is None
