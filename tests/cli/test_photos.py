"""What a preset gets to see of a dataset: its training photos, turned to the scene's axes, or a clear refusal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from specimens import blob

from gscompress import formats
from gscompress.camera import Camera, look_at
from gscompress.cli.main import run
from gscompress.cli.views import Given, context
from gscompress.codecs.base import PHOTOS_OR_RENDERS
from gscompress.codecs.lossless import LosslessCodec
from gscompress.datasets.nerfstudio import load
from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.recipe import Recipe
from gscompress.tune.loop import fit
from gscompress.tune.splat_model import SplatModel
from gscompress.tune.targets import targets


@dataclass(frozen=True)
class Onlooker(LosslessCodec):
    """Needs what it is told to need."""

    wants: ClassVar[frozenset[str]] = frozenset()

    @property
    def needs(self) -> frozenset[str]:
        return self.wants


def recipe(*needs: str) -> Recipe:
    cls = type("Told", (Onlooker,), {"wants": frozenset(needs)})
    return Recipe("onlooker", "", (), cls())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine photos, each of one grey, of which the first is held out."""
    folder = tmp_path_factory.mktemp("photos")
    frames = []
    for number in range(9):
        angle = 2 * np.pi * number / 9
        w2c = look_at(np.array([4 * np.cos(angle), 0.5, 4 * np.sin(angle)]), np.zeros(3), np.array([0.0, -1.0, 0.0]))
        pose = np.linalg.inv(w2c) @ np.diag([1.0, -1, -1, 1])
        frames.append({"file_path": f"{number}.png", "transform_matrix": pose.tolist()})
        Image.fromarray(np.full((24, 32, 3), 20 * number, np.uint8)).save(folder / f"{number}.png")
    lens = {"fl_x": 30.0, "fl_y": 30.0, "cx": 16.0, "cy": 12.0, "w": 32, "h": 24}
    (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}), "utf-8")
    return folder


def test_held_out_photos_never_reach_the_codec(data: Path) -> None:
    ctx = context(recipe("renderer", "photos"), blob(20, 0), EventLog(), Given(data=data))
    held_out = [view.name for view in load(data / "transforms.json") if view.split == "test"]
    assert len(held_out) == 2
    assert len(ctx.photos) == len(ctx.cameras) == 7
    assert not {camera.name for camera in ctx.cameras} & set(held_out)
    for camera, photo in zip(ctx.cameras, ctx.photos):
        assert isinstance(camera, Camera)
        assert (photo == 20 * int(Path(camera.name).stem)).all()
        assert photo.shape == (camera.height, camera.width, 3) == (24, 32, 3)


def test_photos_are_scaled_as_asked(data: Path) -> None:
    ctx = context(recipe("renderer", PHOTOS_OR_RENDERS), blob(20, 0), EventLog(), Given(data=data, width=16))
    assert {photo.shape for photo in ctx.photos} == {(12, 16, 3)}


def test_renders_stand_in_for_photos_with_a_warning(data: Path) -> None:
    log = EventLog()
    ctx = context(recipe("renderer", PHOTOS_OR_RENDERS), blob(20, 0), log)
    assert not ctx.photos
    assert ctx.cameras
    assert "no --data" in log.warnings[0]


def test_a_preset_refuses_what_it_cannot_use_or_do_without(data: Path) -> None:
    scene, log = blob(20, 0), EventLog()
    with pytest.raises(UsageError, match="cannot work without photos"):
        context(recipe("renderer", "photos"), scene, log)
    with pytest.raises(UsageError, match="no use for --data; --cameras"):
        context(recipe("renderer"), scene, log, Given(data=data))
    with pytest.raises(UsageError, match=r"no use for --data$"):
        context(recipe(), scene, log, Given(data=data))
    with pytest.raises(UsageError, match="out of range"):
        context(recipe("photos"), scene, log, Given(data=data, width=0))
    with pytest.raises(UnreadableError, match="no such file"):
        context(recipe("renderer", "photos"), scene, log, Given(data=data / "nothing"))


def test_train_writes_a_scene_and_says_how_it_does_on_held_out_photos(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trained.ply"
    words = ["train", data, out, "--steps", "30", "--budget", "200", "--degree", "1", "--width", "24", "--json"]
    assert run([*map(str, words)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert 0 < facts["gaussians"] == len(formats.read(out)) <= 200
    assert facts["held_out_views"] == 2
    assert facts["psnr"] > 5
    assert "random points" in facts["warnings"][0]
    for wrong in (["--method", "nosuch"], ["--steps", "0"], ["--degree", "5"]):
        assert run(["train", str(data), str(tmp_path / "no.ply"), *wrong]) == 2
    assert run(["train", str(data), str(tmp_path / "no.xyz")]) == 2
    assert run(["train", str(tmp_path / "nothing"), str(tmp_path / "no.ply")]) == 3
    assert not list(tmp_path.glob("no.*"))


def test_transparent_photos_lie_on_the_background(data: Path, tmp_path: Path) -> None:
    clear = tmp_path / "clear"
    clear.mkdir()
    (clear / "transforms.json").write_text((data / "transforms.json").read_text("utf-8"), "utf-8")
    for number in range(9):
        Image.fromarray(np.zeros((24, 32, 4), np.uint8)).save(clear / f"{number}.png")
    white = Given(data=clear, background=(1.0, 1.0, 1.0))
    ctx = context(recipe("renderer", "photos"), blob(20, 0), EventLog(), white)
    assert all((photo == 255).all() for photo in ctx.photos)
    losses = fit(SplatModel(empty := blob(0, 0)), targets(empty, ctx), ctx, 3)
    assert max(losses) < 1e-5
