"""Laws of glTF splats: files of others read right, node transforms move whole ellipsoids, nonsense is named."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closeness import assert_same_picture, covariances
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_strategies import opacity, random_scene, scenes

from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.gltf import EXTENSION, LUF, GltfFormat
from gscompress.formats.gltf_container import glb_bytes
from gscompress.formats.ply import PlyFormat
from gscompress.formats.spz import SpzFormat
from gscompress.frame import quat_to_matrix
from gscompress.scene import Scene
from gscompress.sh import basis

FIXTURES = Path(__file__).parent.parent / "fixtures"
GLTF = GltfFormat()


def read(path: Path, log: EventLog | None = None) -> Scene:
    return GLTF.read(path, log or EventLog())


def mild(count: int, degree: int, seed: int) -> Scene:
    """Opacities that a float32 between 0 and 1 resolves well."""
    scene = random_scene(count, degree, seed)
    return replace(scene, splats=replace(scene.splats, logit_opacities=scene.splats.logit_opacities / 4))


def document_of(scene: Scene, folder: Path) -> dict[str, Any]:
    GLTF.write(scene, folder / "source.gltf", EventLog())
    return json.loads((folder / "source.gltf").read_text())


def read_document(document: dict[str, Any], folder: Path, log: EventLog | None = None) -> Scene:
    (folder / "edited.gltf").write_text(json.dumps(document))
    return read(folder / "edited.gltf", log)


def test_a_file_of_the_reference_writer_holds_the_scene() -> None:
    scene = read(FIXTURES / "fruit.glb")
    assert scene.frame == LUF
    source = PlyFormat().read(FIXTURES / "fruit.ply", EventLog())
    assert_same_picture(scene, replace(source, splats=replace(source.splats, extras={})))


def test_the_old_draft_with_attributes_of_other_names() -> None:
    scene = read(FIXTURES / "cesium-old-draft.gltf")
    assert len(scene) == 5
    np.testing.assert_allclose(scene.splats.log_scales[:, 0], [1.0, 1.1, 1.2, 1.3, 1.4], atol=1e-6)
    # The node moves (x, y, z) to (x + 2, z + 12, -y - 7).
    np.testing.assert_allclose(scene.splats.means[0], [0, 10, -5], atol=1e-6)
    np.testing.assert_allclose(opacity(scene.splats.logit_opacities[0]), 140 / 255, atol=1e-6)
    np.testing.assert_allclose(0.5 + 0.28209479 * scene.splats.sh[0, 0], np.array([127, 199, 255]) / 255, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(scenes(100), st.sampled_from([".glb", ".gltf"]))
def test_written_files_give_the_same_picture(
    tmp_path_factory: pytest.TempPathFactory, scene: Scene, suffix: str
) -> None:
    scene = replace(scene, splats=replace(scene.splats, logit_opacities=scene.splats.logit_opacities / 4))
    path = tmp_path_factory.mktemp("gltf") / f"a{suffix}"
    GLTF.write(scene, path, EventLog())
    assert GLTF.sniff(path, path.read_bytes()[:65536])
    after = read(path)
    assert (after.frame, after.model, after.splats.sh_degree) == (LUF, scene.model, scene.splats.sh_degree)
    assert_same_picture(scene, after)


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_nothing_is_a_valid_scene(suffix: str, tmp_path: Path) -> None:
    GLTF.write(random_scene(0, 3, 0), tmp_path / f"a{suffix}", EventLog())
    assert len(read(tmp_path / f"a{suffix}")) == 0


def test_the_document_is_what_the_specification_asks_for(tmp_path: Path) -> None:
    scene = mild(7, 2, 0)
    document = document_of(scene, tmp_path)
    primitive = document["meshes"][0]["primitives"][0]
    assert document["extensionsUsed"] == [EXTENSION]
    assert primitive["mode"] == 0
    assert primitive["extensions"][EXTENSION]["kernel"] == "ellipse"
    assert primitive["extensions"][EXTENSION]["colorSpace"] == "srgb_rec709_display"
    names = [f"{EXTENSION}:SH_DEGREE_{d}_COEF_{i}" for d in range(3) for i in range(2 * d + 1)]
    assert set(primitive["attributes"]) == {
        "POSITION", "COLOR_0", f"{EXTENSION}:ROTATION", f"{EXTENSION}:SCALE", f"{EXTENSION}:OPACITY", *names
    }  # fmt: skip
    position = document["accessors"][primitive["attributes"]["POSITION"]]
    means = scene.in_frame(LUF).splats.means
    assert position["min"] == means.min(axis=0).tolist()
    assert position["max"] == means.max(axis=0).tolist()
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0


def colours(scene: Scene, direction: np.ndarray) -> np.ndarray:
    splats = scene.splats
    return np.einsum("k,nkc->nc", basis(direction, splats.sh_degree), splats.sh)


@pytest.mark.parametrize(
    "node",
    [
        {"translation": [1, -2, 3], "rotation": [0.1, 0.7, -0.2, 0.67], "scale": [2.5, 2.5, 2.5]},
        {"rotation": [0, 0.7071068, 0, 0.7071068], "scale": [0.5, 2, 1]},
        {"matrix": [0, 0, 2, 0, 0, 3, 0, 0, -4, 0, 0, 0, 5, 6, 7, 1]},
        {"scale": [-1, 1, 1]},
    ],
    ids=["similar", "stretched", "matrix", "mirrored"],
)
def test_a_node_moves_whole_ellipsoids_and_their_colours(node: dict[str, Any], tmp_path: Path) -> None:
    scene = mild(25, 3, 0)
    document = document_of(scene, tmp_path)
    document["nodes"] = [{"children": [1], "translation": [10, 0, 0]}, {**node, "mesh": 0}]
    after = read_document(document, tmp_path)
    if "matrix" in node:
        matrix = np.array(node["matrix"], float).reshape(4, 4).T
    else:
        x, y, z, w = node.get("rotation", [0, 0, 0, 1])
        matrix = np.eye(4)
        matrix[:3, :3] = quat_to_matrix(np.array([[w, x, y, z]]))[0] @ np.diag(node.get("scale", [1, 1, 1]))
        matrix[:3, 3] = node.get("translation", [0, 0, 0])
    before = scene.in_frame(LUF)
    linear = matrix[:3, :3]
    expected = before.splats.means @ linear.T + matrix[:3, 3] + [10, 0, 0]
    np.testing.assert_allclose(after.splats.means, expected, rtol=1e-5, atol=1e-5)
    shape = linear @ covariances(before.splats) @ linear.T
    size = np.trace(shape, axis1=1, axis2=2)[:, None, None]
    assert np.abs((covariances(after.splats) - shape) / size).max() < 1e-5
    turn = linear / np.linalg.norm(linear, axis=0)
    direction = np.array([0.48, -0.6, 0.64])
    np.testing.assert_allclose(colours(after, turn @ direction), colours(before, direction), atol=1e-5)


def test_primitives_of_several_nodes_and_degrees_are_joined(tmp_path: Path) -> None:
    a, b = document_of(mild(4, 1, 0), tmp_path), document_of(mild(3, 3, 1), tmp_path)
    views, accessors = len(a["bufferViews"]), len(a["accessors"])
    a["buffers"] += b["buffers"]
    a["bufferViews"] += [{**view, "buffer": 1} for view in b["bufferViews"]]
    a["accessors"] += [{**x, "bufferView": x["bufferView"] + views} for x in b["accessors"]]
    primitive = b["meshes"][0]["primitives"][0]
    primitive["attributes"] = {name: index + accessors for name, index in primitive["attributes"].items()}
    a["meshes"].append({"primitives": [primitive]})
    a["nodes"] = [{"mesh": 0}, {"mesh": 1}, {"mesh": 0, "translation": [0, 9, 0]}]
    a["scenes"] = [{"nodes": [0, 1, 2]}]
    scene = read_document(a, tmp_path)
    assert (len(scene), scene.splats.sh_degree) == (11, 3)
    assert not scene.splats.sh[:4, 4:].any()
    assert scene.splats.sh[4:7, 4:].any()
    np.testing.assert_allclose(scene.splats.means[7:], scene.splats.means[:4] + [0, 9, 0], atol=1e-5)


def packed_integers(document: dict[str, Any], name: str, values: np.ndarray, component: int, normalized: bool) -> None:
    """Replace an attribute by integers with a stride of 8 bytes."""
    width = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[values.shape[1]]
    rows = np.zeros((len(values), 8), np.uint8)
    rows[:, : values.shape[1] * values.itemsize] = values.view(np.uint8).reshape(len(values), -1)
    uri = "data:application/octet-stream;base64," + base64.b64encode(rows.tobytes()).decode()
    document["buffers"].append({"byteLength": rows.nbytes, "uri": uri})
    view = {"buffer": len(document["buffers"]) - 1, "byteLength": rows.nbytes, "byteStride": 8}
    document["bufferViews"].append(view)
    accessor = {"bufferView": len(document["bufferViews"]) - 1, "componentType": component, "count": len(values)}
    document["accessors"].append({**accessor, "type": width, "normalized": normalized})
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    attributes[f"{EXTENSION}:{name}"] = len(document["accessors"]) - 1


def test_integer_attributes_with_a_stride(tmp_path: Path) -> None:
    document = document_of(mild(3, 0, 0), tmp_path)
    packed_integers(
        document, "ROTATION", np.array([[0, 0, 0, 127], [0, -128, 0, 0], [127, 0, 0, 0]], "<i1"), 5120, True
    )
    packed_integers(document, "SCALE", np.array([[1, 2, 3], [4, 5, 6], [0, 65535, 1]], "<u2"), 5123, False)
    packed_integers(document, "OPACITY", np.array([[0], [51], [255]], "<u1"), 5121, True)
    log = EventLog()
    splats = read_document(document, tmp_path, log).splats
    np.testing.assert_array_equal(splats.quats, [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0]])
    np.testing.assert_allclose(np.exp(splats.log_scales[:2]), [[1, 2, 3], [4, 5, 6]], rtol=1e-6)
    assert splats.log_scales[2, 0] == -20
    np.testing.assert_allclose(opacity(splats.logit_opacities), [0, 0.2, 1], atol=1e-6)
    assert np.isfinite(splats.logit_opacities).all()
    assert {w.split(": ")[1].split()[1] for w in log.warnings} == {"scales", "opacities"}


def test_log_scales_of_an_older_draft_are_recognised(tmp_path: Path) -> None:
    scene = mild(6, 0, 0)
    document = document_of(scene, tmp_path)
    raw = scene.in_frame(LUF).splats.log_scales
    accessor = document["meshes"][0]["primitives"][0]["attributes"][f"{EXTENSION}:SCALE"]
    uri = "data:application/octet-stream;base64," + base64.b64encode(raw.tobytes()).decode()
    document["buffers"].append({"byteLength": raw.nbytes, "uri": uri})
    document["bufferViews"].append({"buffer": 1, "byteLength": raw.nbytes})
    document["accessors"][accessor]["bufferView"] = len(document["bufferViews"]) - 1
    log = EventLog()
    np.testing.assert_array_equal(read_document(document, tmp_path, log).splats.log_scales, raw)
    assert "logarithms" in log.warnings[0]


@pytest.mark.parametrize("nested", [True, False])
def test_spz_inside_a_primitive(nested: bool, tmp_path: Path) -> None:
    scene = mild(30, 2, 0)
    SpzFormat(version=3).write(scene, tmp_path / "a.spz", EventLog())
    data = (tmp_path / "a.spz").read_bytes()
    inner = {"KHR_gaussian_splatting_compression_spz_2": {"bufferView": 0}}
    extensions = (
        {EXTENSION: {"extensions": inner}} if nested else {"KHR_spz_gaussian_splats_compression": {"bufferView": 0}}
    )
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(data)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(data)}],
        "meshes": [{"primitives": [{"attributes": {}, "mode": 0, "extensions": extensions}]}],
        "nodes": [{"mesh": 0}],
    }
    (tmp_path / "a.glb").write_bytes(glb_bytes(document, data))
    plain = SpzFormat().read(tmp_path / "a.spz", EventLog())
    assert_same_picture(plain, read(tmp_path / "a.glb"))


def test_external_buffers_beside_the_file(tmp_path: Path) -> None:
    scene = mild(5, 1, 0)
    document = document_of(scene, tmp_path)
    data = base64.b64decode(document["buffers"][0]["uri"].partition(",")[2])
    (tmp_path / "my data.bin").write_bytes(data)
    document["buffers"][0]["uri"] = "my%20data.bin"
    assert_same_picture(scene, read_document(document, tmp_path))
    for uri in ("../a.bin", "/etc/passwd", "gone.bin", "https://example.org/a.bin", "data:text/plain,abc", "a\nb"):
        document["buffers"][0]["uri"] = uri
        with pytest.raises(UnreadableError):
            read_document(document, tmp_path)


def _attribute(document: dict[str, Any], name: str) -> dict[str, Any]:
    return document["accessors"][document["meshes"][0]["primitives"][0]["attributes"][name]]


BREAKS: dict[str, Any] = {
    "version": lambda d: d.update(asset={"version": "1.0"}),
    "no Gaussian splats": lambda d: d.update(meshes=[{"primitives": [{}]}], extensionsUsed=[]),
    "sparse": lambda d: _attribute(d, "POSITION").update(sparse={"count": 1}),
    "needs": lambda d: _attribute(d, "POSITION").update(count=10**9),
    "VEC3": lambda d: _attribute(d, "POSITION").update(type="VEC2"),
    "component type": lambda d: _attribute(d, "POSITION").update(componentType=9),
    "byteOffset": lambda d: _attribute(d, "POSITION").update(byteOffset=-4),
    "differ in length": lambda d: _attribute(d, f"{EXTENSION}:SCALE").update(count=2),
    "no entry": lambda d: _attribute(d, "POSITION").update(bufferView=99),
    "ends at byte": lambda d: d["bufferViews"][0].update(byteOffset=10**9),
    "has no ROTATION": lambda d: d["meshes"][0]["primitives"][0]["attributes"].pop(f"{EXTENSION}:ROTATION"),
    "has no SH_DEGREE_1_COEF_1": lambda d: d["meshes"][0]["primitives"][0]["attributes"].pop(
        f"{EXTENSION}:SH_DEGREE_1_COEF_1"
    ),
    "two parents": lambda d: d["nodes"][0].update(children=[0]),
    "matrix of a node": lambda d: d["nodes"][0].update(matrix=[1] * 15),
    "rotation of a node": lambda d: d["nodes"][0].update(rotation=["a", 0, 0, 1]),
    "list of integers": lambda d: d["scenes"][0].update(nodes="all"),
    "meshopt": lambda d: d["bufferViews"][0].update(extensions={"EXT_meshopt_compression": {}}),
}


@pytest.mark.parametrize("message", BREAKS)
def test_errors_say_what_is_wrong(message: str, tmp_path: Path) -> None:
    document = document_of(mild(4, 1, 0), tmp_path)
    BREAKS[message](document)
    with pytest.raises(UnreadableError, match=message):
        read_document(document, tmp_path)


def test_chunks_of_a_glb_must_fit(tmp_path: Path) -> None:
    GLTF.write(mild(4, 1, 0), tmp_path / "a.glb", EventLog())
    data = bytearray((tmp_path / "a.glb").read_bytes())
    for offset, value, message in ((4, 1, "GLB version 1"), (8, len(data) + 1, "cut off"), (12, 2**31, "chunk")):
        broken = data.copy()
        struct.pack_into("<I", broken, offset, value)
        (tmp_path / "b.glb").write_bytes(broken)
        with pytest.raises(UnreadableError, match=message):
            read(tmp_path / "b.glb")


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    scene = mild(4, 1, 0)
    broken = replace(scene, splats=replace(scene.splats, means=scene.splats.means * np.float32(np.nan)))
    with pytest.raises(UsageError, match="means"):
        GLTF.write(broken, tmp_path / "a.glb", EventLog())


def test_losses_name_what_is_given_up() -> None:
    scene = random_scene(3, 0, 0)
    scene = replace(scene, model="mip", splats=replace(scene.splats, extras={"label": np.zeros(3)}))
    losses = " ".join(GLTF.losses(scene))
    assert "label" in losses
    assert "mip" in losses
