"""Laws of field checkpoints: what is read is written back as it was, and nothing in a file ever runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from field_specimens import hash_field, mlp_field, voxel_field

from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.field import Field
from gscompress.formats.fields import holds_field, layout_of, read_field, write_field

torch = pytest.importorskip("torch")

FIELDS = {
    "nerf-pytorch": mlp_field,
    "nerf-pytorch-yen": lambda: mlp_field(source="nerf-pytorch-yen", skip=True),
}
FIELDS |= {
    "nerfacto": hash_field,
    "nerfacto of tiny-cuda-nn": lambda: hash_field("tcnn"),
    "instant-ngp": lambda: hash_field(occupancy=True),
    "plenoxels": voxel_field,
    "appearance": lambda: hash_field(appearance=True),
}
SUFFIX = {"nerf-pytorch-yen": ".tar", "plenoxels": ".npz"}


def assert_same(a: Field, b: Field) -> None:
    assert list(a.tensors) == list(b.tensors)
    for name, array in a.tensors.items():
        np.testing.assert_array_equal(b.tensors[name], array, err_msg=name)


@pytest.mark.parametrize("name", FIELDS)
def test_a_written_field_reads_back_the_same(name: str, tmp_path: Path) -> None:
    field = FIELDS[name]()
    path = tmp_path / f"a{SUFFIX.get(name, '.ckpt')}"
    write_field(field, path)
    assert holds_field(path)
    again = read_field(path)
    assert_same(field, again)
    assert again.spec.kind == field.spec.kind
    assert again.spec.source == field.spec.source
    for key, value in field.spec.geometry.items():
        assert again.spec.geometry[key] == value
    assert again.meta.get("step") == field.meta.get("step")


def test_sizes_that_nerfstudio_keeps_as_numbers_stay_numbers(tmp_path: Path) -> None:
    write_field(hash_field(), tmp_path / "a.ckpt")
    state = torch.load(tmp_path / "a.ckpt", weights_only=True)["pipeline"]
    assert state["_model.field.num_levels"].shape == ()
    first, second = (state[f"_model.proposal_networks.0.{name}.hash_table"] for name in ("encoding", "mlp_base.0"))
    assert torch.equal(first, second)


def test_the_yml_beside_a_checkpoint_says_how_it_is_sampled(tmp_path: Path) -> None:
    torch.save(tree_of(mlp_field()), tmp_path / "a.ckpt")
    log = EventLog()
    assert read_field(tmp_path / "a.ckpt", log).spec.geometry["far"] == 6.0
    assert log.warnings
    (tmp_path / "a.yml").write_text(
        "dataset:\n  near: 0\n  far: 1\n  no_ndc: false\n"
        "nerf:\n  train:\n    num_coarse: 3\n    white_background: true\n"
        "  validation:\n    num_coarse: 64\n    num_fine: 128\n    white_background: false\n"
    )
    geometry = read_field(tmp_path / "a.ckpt").spec.geometry
    assert [geometry[k] for k in ("near", "far", "ndc", "white", "samples")] == [0.0, 1.0, True, False, [64, 128]]


def tree_of(field: Field) -> dict[str, Any]:
    tree = layout_of(field).build(field)
    return {k: {n: torch.from_numpy(a) for n, a in v.items()} if isinstance(v, dict) else v for k, v in tree.items()}


def test_optimiser_state_is_left_out(tmp_path: Path) -> None:
    field = mlp_field()
    adam = {"state": {0: {"exp_avg": torch.zeros(100_000)}}, "param_groups": [{"lr": 1e-3}]}
    torch.save({**tree_of(field), "optimizer_state_dict": adam, "loss": torch.tensor(0.1)}, tmp_path / "a.ckpt")
    assert_same(field, read_field(tmp_path / "a.ckpt"))


def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    tree = tree_of(mlp_field())
    del tree["model_fine_state_dict"]["fc_feat.bias"]
    torch.save(tree, tmp_path / "a.ckpt")
    with pytest.raises(UnreadableError, match=r"no tensor 'model_fine_state_dict.fc_feat.bias'"):
        read_field(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("fc_rgb.weight", (3, 5)),
        ("layers_xyz.0.weight", (24, 25)),
        ("layer1.weight", (24, 22)),
        ("fc_alpha.bias", (2,)),
    ],
)
def test_layers_that_do_not_fit_are_refused(layer: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    tree = tree_of(mlp_field())
    tree["model_coarse_state_dict"][layer] = torch.zeros(shape)
    torch.save(tree, tmp_path / "a.ckpt")
    with pytest.raises(UnreadableError, match=r"do not fit together|has shape|encoded differently"):
        read_field(tmp_path / "a.ckpt")


class _Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch executed",)


def test_code_in_a_pickle_is_refused_and_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({**tree_of(mlp_field()), "extra": _Bomb()}, tmp_path / "a.ckpt")
    with pytest.raises(UnreadableError, match="refuses to run"):
        read_field(tmp_path / "a.ckpt")
    np.savez(tmp_path / "a.npz", density=np.array([_Bomb()], dtype=object))
    with pytest.raises(UnreadableError, match="Python objects"):
        read_field(tmp_path / "a.npz")
    assert not (tmp_path / "executed").exists()
    assert not holds_field(tmp_path / "a.ckpt")


def test_other_files_are_no_fields(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(4)}, tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(b"\x80\x02 cut")
    np.savez(tmp_path / "c.npz", something=np.zeros(3))
    for name in ("a.ckpt", "b.ckpt", "c.npz", "none.ckpt"):
        assert not holds_field(tmp_path / name)
    with pytest.raises(UnreadableError, match="not a radiance field"):
        read_field(tmp_path / "a.ckpt")


def test_a_field_is_written_only_as_its_own_software_names_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="written as"):
        write_field(mlp_field(), tmp_path / "a.npz")
