"""Laws of TensoRF checkpoints: there and back, what the original asks for is there, hostile ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from field_specimens import planes_field

from gscompress.errors import UnreadableError
from gscompress.formats.fields import holds_field, layout_of, read_field, write_field

torch = pytest.importorskip("torch")

_KEYWORDS = [
    "aabb",
    "gridSize",
    "density_n_comp",
    "appearance_n_comp",
    "app_dim",
    "density_shift",
    "alphaMask_thres",
    "distance_scale",
    "rayMarch_weight_thres",
    "fea2denseAct",
    "near_far",
    "step_ratio",
    "shadingMode",
    "view_pe",
    "fea_pe",
    "featureC",
]


@pytest.mark.parametrize("shading", ["MLP_Fea", "SH"])
@pytest.mark.parametrize("mask", [False, True])
def test_a_checkpoint_goes_there_and_back(shading: str, mask: bool, tmp_path: Path) -> None:
    field = planes_field(shading=shading, mask=mask)
    write_field(field, tmp_path / "a.th")
    assert holds_field(tmp_path / "a.th")
    again = read_field(tmp_path / "a.th")
    assert again.spec == field.spec
    for name, array in field.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], array, err_msg=name)


def test_a_contracted_field_has_a_layout_of_its_own(tmp_path: Path) -> None:
    field = planes_field(contraction="inf")
    write_field(field, tmp_path / "a.th")
    assert read_field(tmp_path / "a.th").spec == field.spec
    kwargs = torch.load(tmp_path / "a.th", weights_only=True)["kwargs"]
    assert set(kwargs) - set(_KEYWORDS) == {"contraction", "samples"}  # which TensoRF's own code refuses


def test_the_original_finds_its_keywords_and_shapes(tmp_path: Path) -> None:
    """What TensorVMSplit(**kwargs).load(checkpoint) looks for."""
    write_field(planes_field(mask=True), tmp_path / "a.th")
    tree = torch.load(tmp_path / "a.th", weights_only=True)
    kwargs, state = tree["kwargs"], tree["state_dict"]
    assert set(kwargs) == set(_KEYWORDS)
    x, _, z = kwargs["gridSize"]
    assert state["app_plane.1"].shape == (1, kwargs["appearance_n_comp"][1], z, x)
    assert state["density_line.2"].shape == (1, kwargs["density_n_comp"][2], x, 1)
    mask = np.unpackbits(np.asarray(tree["alphaMask.mask"]))[: np.prod(tree["alphaMask.shape"])]
    assert 0 < mask.mean() < 1


def original(mask: bool = True) -> dict[str, Any]:
    """A checkpoint as TensoRF itself saves it: the mask is a numpy array, its shape a tuple of five."""
    field = planes_field(mask=mask)
    tree = layout_of(field).build(field)
    tree = {k: {n: torch.tensor(a) for n, a in v.items()} if k == "state_dict" else v for k, v in tree.items()}
    tree["kwargs"]["aabb"] = torch.tensor(tree["kwargs"]["aabb"])
    tree["alphaMask.shape"] = (1, 1, *tree["alphaMask.shape"])
    tree["alphaMask.aabb"] = torch.tensor(tree["alphaMask.aabb"])
    return tree


def test_masks_are_read_as_tensorf_saves_them(tmp_path: Path) -> None:
    torch.save(original(), tmp_path / "a.th")
    np.testing.assert_array_equal(
        read_field(tmp_path / "a.th").tensors["occupancy"], planes_field(mask=True).tensors["occupancy"]
    )


def _without(tree: dict[str, Any], group: str, name: str) -> None:
    del tree[group][name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["kwargs"].update(gridSize=[12, 13]), "gridSize"),
        (lambda t: t["kwargs"].update(gridSize=[12, 13, 1 << 40]), "density_line.0"),
        (lambda t: t["kwargs"].update(near_far=["a", "b"]), "near_far"),
        (lambda t: t["kwargs"].update(near_far=[2.0, float("nan")]), "near_far"),
        (lambda t: t["kwargs"].update(shadingMode="MLP_PE"), "shading"),
        (lambda t: t["kwargs"].update(distance_scale="far"), "distance_scale"),
        (lambda t: t["kwargs"].update(view_pe="many"), "view_pe"),
        (lambda t: t["kwargs"].update(fea_pe=1 << 40), "fea_pe"),
        (lambda t: t["kwargs"].update(aabb=torch.zeros(2, 3)), "no box"),
        (lambda t: t["state_dict"].pop("app_line.2"), "no tensor 'state_dict.app_line.2'"),
        (lambda t: t["state_dict"].pop("renderModule.mlp.2.bias"), "mlp.2.bias"),
        (lambda t: t["state_dict"].update({"basis_mat.weight": torch.zeros(5, 17)}), "basis_mat"),
        (lambda t: t.update({"alphaMask.shape": (1, 1, 7, 8, 1 << 40)}), "alpha mask"),
        (lambda t: t.update({"alphaMask.shape": (2, 1, 7, 8, 9)}), "alpha mask"),
        (lambda t: t.update({"alphaMask.mask": np.zeros(3, np.uint8)}), "alpha mask"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change: Any, message: str, tmp_path: Path) -> None:
    tree = original()
    change(tree)
    torch.save(tree, tmp_path / "a.th")
    with pytest.raises(UnreadableError, match=message) as caught:
        read_field(tmp_path / "a.th")
    assert "\n" not in str(caught.value)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, ("executed",)


@pytest.mark.parametrize("bad", [np.array([_Bomb()], object), _Bomb(), np.ma.array([1.0]), np.float64(2)])
def test_arrays_of_anything_but_numbers_are_never_built(
    bad: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(original() | {"alphaMask.mask": bad}, tmp_path / "a.th")
    with pytest.raises(UnreadableError, match="refuses to run"):
        read_field(tmp_path / "a.th")
    assert not (tmp_path / "executed").exists()
