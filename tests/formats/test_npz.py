"""Laws of .npz: nothing at all is lost, numpy alone can read it, and bombs and pickles are refused."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_strategies import MODELS, any_bits, assert_same_splats, random_scene

from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.npz import NpzFormat
from gscompress.frame import RDF, RFU, RUB
from gscompress.scene import Scene

FORMAT = NpzFormat()


def through(scene: Scene, folder: Path) -> Scene:
    path = folder / "a.npz"
    FORMAT.write(scene, path, EventLog())
    return FORMAT.read(path, EventLog())


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 50),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
    st.sampled_from(MODELS),
    st.sampled_from([RDF, RUB, RFU]),
)
def test_everything_survives(
    tmp_path_factory: pytest.TempPathFactory, count: int, degree: int, seed: int, model: str, frame: object
) -> None:
    scene = any_bits(random_scene(count, degree, seed), seed)
    extras = {
        "id": np.arange(count),
        "wide one": np.ones((count, 3), np.float16),
        "name": np.array(["ü"] * count, dtype="U3"),
        "column": np.asfortranarray(np.arange(2 * count).reshape(count, 2)),
        "a/b": np.zeros(count, ">f8"),
    }
    scene = Scene(
        replace(scene.splats, extras=extras), frame, model, {"comments": ["a"], "nested": {"b": [1, 2.5, None]}}
    )
    back = through(scene, tmp_path_factory.mktemp("n"))
    assert_same_splats(back.splats, scene.splats)
    assert (back.frame, back.model, back.meta) == (scene.frame, scene.model, scene.meta)
    assert FORMAT.losses(scene) == []


def test_the_same_scene_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        FORMAT.write(random_scene(20, 1, 0), tmp_path / name, EventLog())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_reads_and_writes_the_layout(tmp_path: Path) -> None:
    scene = random_scene(20, 1, 0)
    FORMAT.write(scene, tmp_path / "a.npz", EventLog())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["sh"], scene.splats.sh)
        np.savez_compressed(tmp_path / "b.npz", **arrays)
    assert_same_splats(FORMAT.read(tmp_path / "b.npz", EventLog()).splats, scene.splats)


def test_objects_are_dropped_and_said(tmp_path: Path) -> None:
    scene = random_scene(2, 0, 0)
    scene = replace(scene, splats=replace(scene.splats, extras={"any": np.array([{}, []], object)}))
    assert FORMAT.losses(scene) == ["extra columns of Python objects are dropped: any"]
    assert through(scene, tmp_path).splats.extras == {}
    with pytest.raises(UsageError, match="no JSON"):
        through(replace(scene, meta={"set": {1}}), tmp_path)


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _npy(shape: tuple[int, ...], body: bytes = b"", descr: str = "<f4") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + body


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"means.npy": _npy((10**18, 3))}, "cannot hold"),
        ({"means.npy": _npy((4, 3), bytes(47))}, "cannot hold|cut off"),
        ({"means.npy": _npy((4, 3), bytes(49))}, "longer than its array"),
        ({"means.npy": _npy((-1, 3), bytes(48))}, "cannot hold|damaged"),
        ({"means.npy": _npy((1,), b"cos\nsystem\n(S'echo'\ntR.", "|O")}, "cannot hold"),
        ({"means.npy": b"nonsense"}, "damaged"),
        ({"means.npy": _npy((4, 3), bytes(48))}, "not one of gscompress"),
        ({"scene.npy": _npy((2,), b"{}", "|u1")}, "not one of gscompress"),
    ],
)
def test_lying_members_are_refused(members: dict[str, bytes], message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(_zip(members))
    with pytest.raises(UnreadableError, match=message):
        FORMAT.read(path, EventLog())


def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(_zip({"means.npy": _npy((1 << 18, 3), bytes(12 << 18))}))
    with pytest.raises(UnreadableError, match="not one of gscompress"):
        FORMAT.read(path, EventLog())
    monkeypatch.setattr("gscompress.formats.npz.FREE_BYTES", 2 << 20)  # three megabytes from three kilobytes
    with pytest.raises(UnreadableError, match="refused as a bomb"):
        FORMAT.read(path, EventLog())


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    FORMAT.write(random_scene(2, 0, 0), tmp_path / "a.npz", EventLog())
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != "quats.npy"}
    (tmp_path / "a.npz").write_bytes(_zip(members))
    with pytest.raises(UnreadableError, match="quats is missing"):
        FORMAT.read(tmp_path / "a.npz", EventLog())
