"""Laws of .ply: nothing of a float32 file is lost, every dialect reads the same, and what is no splat file is named."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_strategies import MODELS, any_bits, assert_same_splats, random_scene

from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.formats.ply import FLAT, PlyFormat
from gscompress.formats.ply_header import header_bytes
from gscompress.frame import RDF, RFU, RUB, Frame
from gscompress.scene import Scene

FIXTURES = Path(__file__).parent.parent / "fixtures"
PLY = PlyFormat()


def read(path: Path, log: EventLog | None = None) -> Scene:
    return PLY.read(path, log or EventLog())


def read_bytes(tmp_path: Path, data: bytes, log: EventLog | None = None) -> Scene:
    path = tmp_path / "in.ply"
    path.unlink(missing_ok=True)  # some file systems flush to disk when a file is overwritten in place
    path.write_bytes(data)
    return read(path, log)


def written(scene: Scene, tmp_path: Path) -> bytes:
    path = tmp_path / "out.ply"
    PLY.write(scene, path, EventLog())
    return path.read_bytes()


def table(scene: Scene, drop: tuple[str, ...] = (), order: list[str] | None = None) -> np.ndarray:
    """The rows of a .ply as a structured array, built by hand."""
    s = scene.splats
    columns = {name: s.means[:, i] for i, name in enumerate("xyz")}
    rest = s.sh[:, 1:].transpose(0, 2, 1).reshape(len(s), -1)
    columns |= {f"f_dc_{i}": s.sh[:, 0, i] for i in range(3)} | {f"f_rest_{i}": c for i, c in enumerate(rest.T)}
    columns |= {"opacity": s.logit_opacities} | {f"scale_{i}": s.log_scales[:, i] for i in range(3)}
    columns |= {f"rot_{i}": s.quats[:, i] for i in range(4)} | dict(s.extras)
    names = [name for name in order or columns if name not in drop]
    rows = np.empty(len(s), [(name, columns[name].dtype) for name in names])
    for name in names:
        rows[name] = columns[name]
    return rows


def as_ply(rows: np.ndarray, comments: tuple[str, ...] = ()) -> bytes:
    return header_bytes([("vertex", len(rows), rows.dtype)], comments) + rows.tobytes()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 70), st.integers(0, 3), st.integers(0, 2**32 - 1), st.sampled_from(MODELS), st.booleans())
def test_any_bits_survive_write_and_read(
    tmp_path_factory: pytest.TempPathFactory, count: int, degree: int, seed: int, model: str, normals: bool
) -> None:
    folder = tmp_path_factory.mktemp("ply")
    scene = any_bits(random_scene(count, degree, seed), seed)
    rng = np.random.default_rng(seed)
    extras = {
        "segment": rng.integers(0, 256, count).astype(np.uint8),
        "id": rng.integers(-(2**31), 2**31, count).astype(np.int32),
        "time": rng.standard_normal(count),
    }
    meta = {"comments": ["made by hand", "ünïcode"], "attribution": "somebody"} | ({"normals": True} if normals else {})
    scene = replace(scene, splats=replace(scene.splats, extras=extras), model=model, meta=meta)
    path = folder / "a.ply"
    PLY.write(scene, path, EventLog())
    back = read(path)
    assert_same_splats(scene.splats, back.splats)
    assert (back.frame, back.model) == (scene.frame, scene.model)
    assert back.meta["attribution"] == "somebody"
    assert back.meta["comments"][:2] == meta["comments"]
    assert ("normals" in back.meta) == normals
    first = path.read_bytes()
    assert written(back, folder) == first  # a second pass changes nothing
    assert PLY.losses(scene) == []


def test_a_real_file_is_rewritten_byte_for_byte(tmp_path: Path) -> None:
    scene = read(FIXTURES / "fruit.ply")
    assert len(scene) == 200
    assert scene.splats.sh.shape == (200, 16, 3)
    assert list(scene.splats.extras) == ["transform"]
    assert written(scene, tmp_path) == (FIXTURES / "fruit.ply").read_bytes()


def test_sh_is_channel_major_in_the_file(tmp_path: Path) -> None:
    scene = random_scene(3, 2, 0)
    rows = table(scene)
    back = read_bytes(tmp_path, as_ply(rows))
    assert back.splats.sh[1, 5, 2] == rows["f_rest_20"][1]  # blue, fifth of eight
    assert back.splats.sh_degree == 2


@pytest.mark.parametrize("seed", range(4))
def test_property_order_does_not_matter(seed: int, tmp_path: Path) -> None:
    scene = random_scene(40, 3, seed)
    names = list(table(scene).dtype.names)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    assert_same_splats(read_bytes(tmp_path, as_ply(table(scene, order=shuffled))).splats, scene.splats)


def test_big_endian_and_crlf_headers_read_the_same(tmp_path: Path) -> None:
    scene = any_bits(random_scene(40, 1, 3), 3)
    rows = table(scene)
    head, body = as_ply(rows).split(b"end_header\n", 1)[0] + b"end_header\n", rows.astype(rows.dtype.newbyteorder(">"))
    big = head.replace(b"binary_little_endian", b"binary_big_endian") + body.tobytes()
    assert_same_splats(read_bytes(tmp_path, big).splats, scene.splats)
    crlf = head.replace(b"\n", b"\r\n") + rows.tobytes()
    assert_same_splats(read_bytes(tmp_path, crlf).splats, scene.splats)


def test_ascii_reads_the_same(tmp_path: Path) -> None:
    scene = random_scene(30, 1, 4)
    scene.splats.logit_opacities[:3] = np.nan, np.inf, -np.inf
    scene = replace(scene, splats=replace(scene.splats, extras={"id": np.arange(30, dtype=np.int32)}))
    rows = table(scene)
    head = as_ply(rows).split(b"end_header\n")[0].replace(b"binary_little_endian", b"ascii") + b"end_header\n"
    text = "\n\n".join(" ".join(str(value) for value in row.tolist()) for row in rows)
    assert_same_splats(read_bytes(tmp_path, head + text.encode()).splats, scene.splats)


@pytest.mark.parametrize("code", ["i1", "u1", "i2", "u2", "i4", "u4", "f8"])
def test_every_ply_type_can_hold_positions(code: str, tmp_path: Path) -> None:
    scene = random_scene(20, 0, 5)
    scene.splats.means[:] = np.random.default_rng(0).integers(0, 100, (20, 3))
    rows = table(scene)
    typed = rows.astype([(n, code if n in "xyz" else "f4") for n in rows.dtype.names])
    log = EventLog()
    assert_same_splats(read_bytes(tmp_path, as_ply(typed), log).splats, scene.splats)
    assert any("double precision" in text for text in log.warnings) == (code == "f8")


def test_other_elements_are_stepped_over(tmp_path: Path) -> None:
    scene = random_scene(9, 0, 6)
    rows = table(scene)
    head = (
        b"ply\nformat binary_little_endian 1.0\nelement camera 2\nproperty double focal\nproperty uchar lens\n"
        b"element ring 3\nproperty int a\nproperty list uchar short at\n"
        + as_ply(rows).split(b"end_header\n")[0].split(b"1.0\n")[1]
        + b"element tail 1\nproperty list int float more\nend_header\n"
    )
    rings = b"".join(bytes(4) + bytes([n]) + bytes(2 * n) for n in (0, 5, 2))
    data = head + bytes(18) + rings + rows.tobytes() + b"\x01\x00\x00\x00abcd"
    log = EventLog()
    assert_same_splats(read_bytes(tmp_path, data, log).splats, scene.splats)
    assert any("camera, ring, tail" in text for text in log.warnings)


def test_a_file_without_scale_2_is_2dgs_and_stays_so(tmp_path: Path) -> None:
    scene = random_scene(12, 1, 7)
    data = as_ply(table(scene, drop=("scale_2",)), ("made by 2dgs",))
    back = read_bytes(tmp_path, data)
    assert back.model == "2dgs"
    assert (back.splats.log_scales[:, 2] == FLAT).all()
    assert written(back, tmp_path) == data
    nudged = back.splats.log_scales + np.float32([0, 0, 0.05])  # as a lossy codec does
    assert b"scale_2" not in written(replace(back, splats=replace(back.splats, log_scales=nudged)), tmp_path)


def test_2dgs_with_a_real_third_scale_keeps_it(tmp_path: Path) -> None:
    scene = replace(random_scene(12, 1, 7), model="2dgs")
    assert_same_splats(read_bytes(tmp_path, written(scene, tmp_path)).splats, scene.splats)


@pytest.mark.parametrize(
    ("comment", "model"),
    [
        ("SplatRenderMode: mip", "mip"),
        ("SplatRenderMode: 2dgs", "2dgs"),
        ("SplatRenderMode: default", "3dgs"),
        ("splatrendermode mip", "mip"),
        ("antialiased 1", "mip"),
        ("antialiased 0", "3dgs"),
        ("Vertical axis: y", "3dgs"),
        ("SplatRenderMode: nonsense", "3dgs"),
    ],
)
def test_comments_name_the_model_and_are_kept(comment: str, model: str, tmp_path: Path) -> None:
    data = as_ply(table(random_scene(5, 0, 8)), ("first", comment))
    scene = read_bytes(tmp_path, data)
    assert scene.model == model
    assert scene.meta["comments"] == ["first", comment]
    assert written(scene, tmp_path) == data


def test_of_contradictory_comments_the_last_one_counts(tmp_path: Path) -> None:
    comments = ("SplatRenderMode: 2dgs", "gscompress frame RUB", "antialiased 1", "gscompress frame RUF")
    scene = read_bytes(tmp_path, as_ply(table(random_scene(5, 0, 8)), comments))
    assert (scene.model, scene.frame) == ("mip", Frame("RUF"))


@pytest.mark.parametrize(("old", "new"), list(itertools.permutations(MODELS, 2)))
def test_a_changed_model_replaces_its_comment(old: str, new: str, tmp_path: Path) -> None:
    scene = read_bytes(tmp_path, written(replace(random_scene(5, 0, 8), model=old), tmp_path))
    data = written(replace(scene, model=new), tmp_path)
    assert data.count(b"SplatRenderMode") <= 1
    assert read_bytes(tmp_path, data).model == new


@pytest.mark.parametrize("axes", ["RUB", "RUF", "RFU", "FRD"])
def test_declared_axes_are_read_and_rdf_is_written(axes: str, tmp_path: Path) -> None:
    data = as_ply(table(random_scene(50, 3, 9)), (f"gscompress frame {axes}", "else"))
    scene = read_bytes(tmp_path, data)
    assert scene.frame == Frame(axes)
    back = read_bytes(tmp_path, written(scene, tmp_path))
    assert back.frame == RDF
    assert back.meta["comments"] == ["else", "gscompress frame RDF"]
    assert_same_splats(back.splats, scene.in_frame(RDF).splats)
    assert PLY.losses(scene)[0].startswith(f"axes are turned from {axes}")


def test_a_scene_in_other_axes_keeps_its_picture(tmp_path: Path) -> None:
    scene = random_scene(50, 2, 10)
    for frame in (RUB, RFU):
        back = read_bytes(tmp_path, written(scene.in_frame(frame), tmp_path)).splats
        np.testing.assert_allclose(back.means, scene.splats.means, atol=1e-4)
        np.testing.assert_allclose(back.sh, scene.splats.sh, atol=1e-5)


def test_undeclared_axes_are_rdf(tmp_path: Path) -> None:
    assert read(FIXTURES / "fruit.ply").frame == RDF
    assert b"comment" not in written(read(FIXTURES / "fruit.ply"), tmp_path)


def test_normals_that_say_something_are_kept_as_columns(tmp_path: Path) -> None:
    scene = random_scene(6, 0, 11)
    normals = {name: np.arange(6, dtype=np.float32) for name in ("nx", "ny", "nz")}
    scene = replace(scene, splats=replace(scene.splats, extras=normals))
    data = written(scene, tmp_path)
    assert data.index(b"float nx") < data.index(b"float f_dc_0")
    assert_same_splats(read_bytes(tmp_path, data).splats, scene.splats)


def test_extra_columns_that_ply_cannot_hold_are_reported(tmp_path: Path) -> None:
    scene = random_scene(6, 0, 11)
    extras = {
        "wide": np.arange(12, dtype=np.float32).reshape(6, 2),
        "big": np.arange(6, dtype=np.int64),
        "x": np.zeros(6, np.float32),
        "f_rest_7": np.zeros(6, np.float32),
        "two words": np.ones(6, bool),
        "label": np.array(["a"] * 6),
    }
    scene = replace(scene, splats=replace(scene.splats, extras=extras), meta={"odd": {1, 2}})
    back = read_bytes(tmp_path, written(scene, tmp_path)).splats
    assert list(back.extras) == ["wide_0", "wide_1", "big", "two_words"]
    assert back.extras["big"].tolist() == list(range(6))
    np.testing.assert_array_equal(back.means, scene.splats.means)
    said = PLY.losses(scene)
    for loss in (
        "metadata that is no short JSON is dropped: odd",
        "extra columns that are no numbers are dropped: label",
        "extra columns that have the name of a splat attribute are dropped: x, f_rest_7",
        "extra columns of a type that PLY lacks are stored in another: big, two words",
        "extra columns with several values per Gaussian become one column each: wide",
    ):
        assert loss in said, said


def test_missing_rotations_and_colours_are_filled_with_a_warning(tmp_path: Path) -> None:
    scene = random_scene(6, 0, 12)
    log = EventLog()
    plain = read_bytes(tmp_path, as_ply(table(scene, drop=("rot_0", "rot_1", "rot_2", "rot_3"))), log)
    assert (plain.splats.quats == [1, 0, 0, 0]).all()
    assert any("no rotations" in text for text in log.warnings)
    colours = {name: np.array([0, 51, 102, 153, 204, 255], np.uint8) for name in ("red", "green", "blue")}
    dyed = replace(scene, splats=replace(scene.splats, extras=colours))
    log = EventLog()
    back = read_bytes(tmp_path, as_ply(table(dyed, drop=("f_dc_0", "f_dc_1", "f_dc_2"))), log)
    np.testing.assert_allclose(back.splats.sh[:, 0, 0] * 0.28209479 + 0.5, np.arange(6) / 5, atol=1e-6)
    assert any("red, green, blue" in text for text in log.warnings)


def test_a_scene_that_went_through_cloudcompare_reads_the_same(tmp_path: Path) -> None:
    scene = random_scene(6, 1, 12)
    rows = table(scene)
    prefixed = rows.astype([(n if n in "xyz" else f"scalar_{n}", "f4") for n in rows.dtype.names])
    data = as_ply(prefixed).replace(b"element", b"obj_info Generated by CloudCompare!\nelement", 1)
    back = read_bytes(tmp_path, data)
    assert_same_splats(back.splats, scene.splats)
    assert back.meta["comments"] == ["obj_info Generated by CloudCompare!"]


def test_degree_4_is_cut_to_3(tmp_path: Path) -> None:
    scene = random_scene(6, 3, 13)
    rest = np.arange(6 * 72, dtype=np.float32).reshape(6, 72)
    wide = {f"f_rest_{i}": column for i, column in enumerate(rest.T)}
    scene = replace(scene, splats=replace(scene.splats.with_sh_degree(0), extras=wide))
    log = EventLog()
    back = read_bytes(tmp_path, as_ply(table(scene)), log)
    np.testing.assert_array_equal(back.splats.sh[:, 1:], rest.reshape(6, 3, 24)[:, :, :15].transpose(0, 2, 1))
    assert any("degree 4" in text for text in log.warnings)
    assert back.splats.extras == {}


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        (("opacity",), "no property opacity"),
        (("scale_0",), "no property scale_0"),
        (("rot_2",), "only some of rot_0"),
        (("f_dc_1",), "no colour"),
        (("x",), "no x, y, z"),
        (("f_rest_8",), "fit no SH degree"),
        (("f_rest_4",), "fit no SH degree"),
    ],
)
def test_incomplete_scenes_are_refused_by_name(drop: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=message):
        read_bytes(tmp_path, as_ply(table(random_scene(6, 1, 14), drop=drop)))


def test_point_clouds_and_meshes_are_called_so(tmp_path: Path) -> None:
    points = np.zeros(4, [(n, "f4") for n in "xyz"] + [(n, "u1") for n in ("red", "green", "blue")])
    with pytest.raises(UnreadableError, match="is a point cloud"):
        read_bytes(tmp_path, as_ply(points))
    mesh = as_ply(points).replace(b"end_header", b"element face 0\nproperty list uchar int vertex_indices\nend_header")
    with pytest.raises(UnreadableError, match="is a mesh"):
        read_bytes(tmp_path, mesh)


def test_a_truncated_file_is_refused_at_every_length(tmp_path: Path) -> None:
    data = as_ply(table(random_scene(2, 0, 15)))
    for length in range(1, len(data)):
        with pytest.raises(UnreadableError):
            read_bytes(tmp_path, data[:length])


@pytest.mark.parametrize("encoding", [b"binary_little_endian", b"ascii"])
def test_rows_are_counted_before_anything_is_allocated(encoding: bytes, tmp_path: Path) -> None:
    rows = table(random_scene(7, 0, 15))
    head = as_ply(rows).split(b"end_header\n")[0].replace(b"binary_little_endian", encoding) + b"end_header\n"
    with pytest.raises(UnreadableError, match="has room for 3: cut off"):
        read_bytes(tmp_path, head + bytes(3 * (56 if encoding != b"ascii" else 28) + 20))


def test_zero_gaussians_are_a_scene(tmp_path: Path) -> None:
    scene = random_scene(0, 3, 0)
    assert_same_splats(read_bytes(tmp_path, written(scene, tmp_path)).splats, scene.splats)
    ascii_file = written(scene, tmp_path).replace(b"binary_little_endian", b"ascii")
    assert len(read_bytes(tmp_path, ascii_file)) == 0
