"""Laws of checkpoints: every trainer's layout reads the same, and a pickle never runs."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene_strategies import assert_same_splats, random_scene

from gscompress.errors import MissingExtraError, UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.formats.checkpoint import CheckpointFormat
from gscompress.scene import Scene, Splats
from gscompress.sh import C0

torch = pytest.importorskip("torch")
CHECKPOINT = CheckpointFormat()


def read(path: Path, log: EventLog | None = None) -> Scene:
    return CHECKPOINT.read(path, log or EventLog())


def parameter(array: np.ndarray) -> Any:
    return torch.nn.Parameter(torch.from_numpy(array.copy()))


def gsplat(s: Splats) -> dict[str, Any]:
    arrays = {"means": s.means, "scales": s.log_scales, "quats": s.quats, "opacities": s.logit_opacities}
    arrays |= {"sh0": s.sh[:, :1], "shN": s.sh[:, 1:]}
    return {"step": 7, "splats": {name: parameter(array) for name, array in arrays.items()}}


def splatfacto(s: Splats) -> dict[str, Any]:
    arrays = {"means": s.means, "scales": s.log_scales, "quats": s.quats, "opacities": s.logit_opacities[:, None]}
    arrays |= {"features_dc": s.sh[:, 0], "features_rest": s.sh[:, 1:]}
    pipeline = {f"_model.gauss_params.{name}": parameter(array) for name, array in arrays.items()}
    pipeline["_model.camera_optimizer.pose_adjustment"] = torch.zeros(3, 6)
    state = {"state": {0: {"exp_avg": torch.zeros(len(s), 3)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    return {"step": 29999, "pipeline": pipeline, "optimizers": {"means": state}, "schedulers": {}, "scalers": {}}


def inria(s: Splats) -> tuple[Any, int]:
    tensors = (s.means, s.sh[:, :1], s.sh[:, 1:], s.log_scales, s.quats, s.logit_opacities[:, None])
    return (s.sh_degree, *(parameter(a) for a in tensors), torch.zeros(len(s)), torch.zeros(1), {}, 1.5), 30000


def plain(s: Splats) -> dict[str, Any]:
    return gsplat(s)["splats"]


@pytest.mark.parametrize("layout", [gsplat, splatfacto, inria, plain])
@pytest.mark.parametrize("degree", [1, 3])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_layout_reads_the_same(layout: Any, degree: int, zipped: bool, tmp_path: Path) -> None:
    splats = random_scene(20, degree, 1).splats
    path = tmp_path / "a.ckpt"
    torch.save(layout(splats), path, _use_new_zipfile_serialization=zipped)
    assert CHECKPOINT.sniff(path, path.read_bytes()[:65536])
    assert_same_splats(read(path).splats, splats)


def test_half_precision_and_strides_are_converted(tmp_path: Path) -> None:
    splats = random_scene(20, 3, 1).splats
    state = gsplat(splats)
    state["splats"]["means"] = parameter(splats.means.T).t()
    state["splats"]["scales"] = torch.from_numpy(splats.log_scales.astype(np.float16))
    torch.save(state, tmp_path / "a.pt")
    after = read(tmp_path / "a.pt").splats
    np.testing.assert_array_equal(after.means, splats.means)
    np.testing.assert_array_equal(after.log_scales, splats.log_scales.astype(np.float16))


def test_splatfacto_without_view_dependence_stores_the_logit_of_the_colour(tmp_path: Path) -> None:
    splats = random_scene(20, 0, 1).splats
    torch.save(splatfacto(splats), tmp_path / "a.ckpt")
    colour = 0.5 + C0 * read(tmp_path / "a.ckpt").splats.sh[:, 0]
    np.testing.assert_allclose(colour, 1 / (1 + np.exp(-splats.sh[:, 0])), atol=1e-6)


def test_what_lies_beside_the_checkpoint_is_noted(tmp_path: Path) -> None:
    (tmp_path / "nerfstudio_models").mkdir()
    path = tmp_path / "nerfstudio_models" / "step-000029999.ckpt"
    torch.save(splatfacto(random_scene(5, 1, 0).splats), path)
    transforms = {"transform": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], "scale": 0.5}
    (tmp_path / "dataparser_transforms.json").write_text(json.dumps(transforms))
    (tmp_path / "config.yml").write_text("    rasterize_mode: antialiased\n")
    scene = read(path)
    assert scene.meta == {"step": 29999, "dataparser_transforms": transforms}
    assert scene.model == "mip"
    (tmp_path / "dataparser_transforms.json").write_text("{")
    (tmp_path / "config.yml").write_text("model_type: 2dgs\n")
    log = EventLog()
    assert read(path, log).model == "2dgs"
    assert "dataparser_transforms" in log.warnings[0]


class Evil:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.witness),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_never_runs(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    state = gsplat(random_scene(3, 1, 0).splats) | {"config": Evil(tmp_path / "ran")}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnreadableError, match="refuses to run"):
        read(path)
    assert not (tmp_path / "ran").exists()


def test_torch_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(gsplat(random_scene(3, 1, 0).splats), tmp_path / "a.pt")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"gscompress\[checkpoints\]"):
        read(tmp_path / "a.pt")


def test_a_checkpoint_of_something_else_is_named(tmp_path: Path) -> None:
    torch.save({"layers.0.weight": torch.zeros(3, 3)}, tmp_path / "a.pt")
    with pytest.raises(UnreadableError, match=r"layers\.0\.weight"):
        read(tmp_path / "a.pt")
    state = gsplat(random_scene(3, 1, 0).splats)
    del state["splats"]["sh0"], state["splats"]["quats"]
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(UnreadableError, match="no quats, sh0 beside"):
        read(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["means", "scales", "quats", "opacities", "sh0", "shN"])
def test_tensors_of_another_shape_are_refused(name: str, tmp_path: Path) -> None:
    for tensor in (torch.zeros(4, 5), torch.zeros(3, dtype=torch.int64), torch.zeros(())):
        state = gsplat(random_scene(3, 1, 0).splats)
        state["splats"][name] = tensor
        torch.save(state, tmp_path / "a.pt")
        with pytest.raises(UnreadableError, match="tensor of shape"):
            read(tmp_path / "a.pt")


def test_odd_numbers_of_coefficients_are_cut(tmp_path: Path) -> None:
    splats = random_scene(3, 3, 0).splats
    state = gsplat(splats)
    state["splats"]["shN"] = torch.from_numpy(splats.sh[:, 1:12].copy())
    torch.save(state, tmp_path / "a.pt")
    log = EventLog()
    assert_same_splats(read(tmp_path / "a.pt", log).splats, replace(splats, sh=splats.sh[:, :9].copy()))
    assert "cut to 8" in log.warnings[0]


def test_checkpoints_are_not_written(tmp_path: Path) -> None:
    assert not CHECKPOINT.writable
    with pytest.raises(UsageError, match="does not write"):
        CHECKPOINT.write(random_scene(3, 1, 0), tmp_path / "a.pt", EventLog())
