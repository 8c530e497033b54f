"""Laws of DVGO checkpoints: there and back, what its constructor asks for is there, what does not fit is refused."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from field_specimens import feature_voxel_field

from gscompress.errors import UnreadableError
from gscompress.formats.fields import holds_field, layout_of, read_field, write_field

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(("shaded", "direct"), [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize("dense", [False, True])
def test_a_checkpoint_goes_there_and_back(shaded: bool, direct: bool, dense: bool, tmp_path: Path) -> None:
    field = feature_voxel_field(shaded=shaded, direct=direct, dense=dense)
    write_field(field, tmp_path / "fine_last.tar")
    assert holds_field(tmp_path / "fine_last.tar")
    again = read_field(tmp_path / "fine_last.tar")
    assert again.spec == field.spec
    assert again.meta == field.meta
    assert list(again.tensors) == list(field.tensors)
    for name, array in field.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], array, err_msg=name)


def test_the_original_finds_its_keywords_and_shapes(tmp_path: Path) -> None:
    """What DirectVoxGO(**model_kwargs).load_state_dict(model_state_dict) looks for."""
    write_field(feature_voxel_field(), tmp_path / "a.tar")
    tree = torch.load(tmp_path / "a.tar", weights_only=True)
    kwargs, state = tree["model_kwargs"], tree["model_state_dict"]
    span = torch.Tensor(kwargs["xyz_max"]) - torch.Tensor(kwargs["xyz_min"])
    world = (span / (span.prod() / kwargs["num_voxels"]).pow(1 / 3)).long()  # as its constructor sizes grids
    np.testing.assert_allclose(world, state["density.grid"].shape[2:], atol=1)
    assert state["k0.grid"].shape == (1, kwargs["rgbnet_dim"], *state["density.grid"].shape[2:])
    sequential = torch.nn.Sequential(  # its rgbnet
        torch.nn.Linear(kwargs["rgbnet_dim"] - 3 + 3 + 6 * kwargs["viewbase_pe"], kwargs["rgbnet_width"]),
        torch.nn.ReLU(),
        torch.nn.Sequential(torch.nn.Linear(kwargs["rgbnet_width"], kwargs["rgbnet_width"]), torch.nn.ReLU()),
        torch.nn.Linear(kwargs["rgbnet_width"], 3),
    )
    part = {name.removeprefix("rgbnet."): a for name, a in state.items() if name.startswith("rgbnet.")}
    sequential.load_state_dict(part, strict=True)
    rest = {"xyz_min", "xyz_max", "act_shift", "viewfreq", "density.grid", "k0.grid"}
    rest |= {f"{grid}.{side}" for grid in ("density", "k0") for side in ("xyz_min", "xyz_max")}
    rest |= {f"mask_cache.{name}" for name in ("mask", "xyz2ijk_scale", "xyz2ijk_shift")}
    assert {name for name in state if not name.startswith("rgbnet.")} == rest
    assert list(state["mask_cache.mask"].shape) == kwargs["mask_cache_world_size"]
    assert state["mask_cache.mask"].dtype == torch.bool
    assert np.log(1 / (1 - kwargs["alpha_init"]) - 1) == pytest.approx(float(state["act_shift"][0]))


def original() -> dict[str, Any]:
    """A checkpoint as DVGO itself saves it: numpy boxes, an ordered state, the optimiser, a path to the coarse one."""
    tree = layout_of(feature_voxel_field()).build(feature_voxel_field())
    tree["model_state_dict"] = OrderedDict((n, torch.tensor(a)) for n, a in tree["model_state_dict"].items())
    tree["model_kwargs"] |= {"mask_cache_path": "logs/coarse_last.tar", "voxel_size_ratio": torch.tensor(1.2)}
    return tree | {"optimizer_state_dict": {"state": {}, "param_groups": []}}


def test_checkpoints_are_read_as_dvgo_saves_them(tmp_path: Path) -> None:
    torch.save(original(), tmp_path / "a.tar")
    again = read_field(tmp_path / "a.tar")
    for name, array in feature_voxel_field().tensors.items():
        np.testing.assert_array_equal(again.tensors[name], array, err_msg=name)
    assert again.spec == feature_voxel_field().spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k, s: s.pop("xyz_min"), "no tensor 'model_state_dict.xyz_min'"),
        (lambda k, s: s.pop("act_shift"), "act_shift"),
        (lambda k, s: s.pop("rgbnet.2.0.weight"), "a colour network|rgbnet"),
        (lambda k, s: s.pop("rgbnet.3.bias"), "rgbnet.3.bias"),
        (lambda k, s: s.update({"density.grid": torch.zeros(1, 2, 11, 12, 14)}), "density.grid"),
        (lambda k, s: s.update({"k0.grid": torch.zeros(1, 7, 11, 12, 13)}), "k0.grid"),
        (lambda k, s: s.update({"k0.grid": torch.zeros(1, 2, 11, 12, 14)}), "k0.grid"),
        (lambda k, s: s.update({"rgbnet.0.weight": torch.zeros(16, 18)}), "rgbnet.0.weight"),
        (lambda k, s: s.update({"xyz_max": s["xyz_min"]}), "no box"),
        (lambda k, s: s.update({"act_shift": torch.tensor([float("nan")])}), "act_shift"),
        (lambda k, s: s.update({"act_shift.grid": torch.zeros(1, 1, 1, 1, 8)}), "forward-facing"),
        (lambda k, s: s.update({"scene_center": torch.zeros(3)}), "unbounded"),
        (lambda k, s: s.update({"mask_cache.mask": torch.zeros(3)}), "mask_cache.mask"),
        (lambda k, s: k.pop("num_voxels"), "num_voxels"),
        (lambda k, s: k.update(num_voxels=1 << 35), "num_voxels"),
        (lambda k, s: k.update(num_voxels_base=float("nan")), "num_voxels_base"),
        (lambda k, s: k.update(viewbase_pe=1 << 40), "viewbase_pe"),
        (lambda k, s: k.update(rgbnet_direct="yes"), "rgbnet_direct"),
        (lambda k, s: k.update(rgbnet_full_implicit=True), "full_implicit"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change: Any, message: str, tmp_path: Path) -> None:
    tree = original()
    change(tree["model_kwargs"], tree["model_state_dict"])
    torch.save(tree, tmp_path / "a.tar")
    with pytest.raises(UnreadableError, match=message) as caught:
        read_field(tmp_path / "a.tar")
    assert "\n" not in str(caught.value)
