"""Each transform does what it says, moves all columns of a row together, and reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from specimens import blob, rows

from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.events import EventLog, Message
from gscompress.recipe import parse_transforms
from gscompress.scene import Scene
from gscompress.transforms.clean import MAX_LOG_SCALE, MAX_LOGIT, Clean
from gscompress.transforms.sort import Sort, morton_order


def apply(spec: str, scene: Scene, log: EventLog | None = None) -> Scene:
    (transform,) = parse_transforms([spec])
    return transform(scene, Context(log=log or EventLog()))


def numbered(scene: Scene) -> Scene:
    return replace(scene, splats=replace(scene.splats, extras={"row": np.arange(len(scene))}))


def damaged(**values: Any) -> Scene:
    """blob(50) with one value overwritten per given attribute, in rows 0, 1, 2, …"""
    s = blob(50).splats
    arrays = {}
    for row, (name, value) in enumerate(values.items()):
        array = getattr(s, name).copy()
        array[row].flat[0 if array[row].ndim else ...] = value
        arrays[name] = array
    return Scene(replace(s, **arrays))


def test_clean_leaves_a_clean_scene_alone() -> None:
    scene, log = blob(50), EventLog()
    assert (rows(apply("clean", scene, log)) == rows(scene)).all()
    assert not log.warnings


def test_clean_removes_what_cannot_be_drawn_and_says_how_many() -> None:
    s = blob(50).splats
    arrays = {name: getattr(s, name).copy() for name in ("means", "log_scales", "quats", "logit_opacities", "sh")}
    arrays["means"][0, 1] = np.inf
    arrays["log_scales"][1, 2] = np.nan
    arrays["quats"][2] = 0
    arrays["logit_opacities"][3] = np.nan
    arrays["sh"][4, 7, 1] = -np.inf
    arrays["quats"][5, 0] = np.nan
    log = EventLog()
    cleaned = apply("clean", numbered(Scene(replace(s, **arrays))), log)
    assert cleaned.splats.extras["row"].tolist() == list(range(6, 50))
    assert log.warnings == ["clean: 6 Gaussians with NaN, infinite or zero-rotation values, removed"]


def test_clean_clamps_infinite_scales_and_opacities() -> None:
    s = blob(50).splats
    scales, logits = s.log_scales.copy(), s.logit_opacities.copy()
    scales[0, 0], scales[1, 2], logits[:2] = -np.inf, np.inf, [np.inf, -np.inf]
    log = EventLog()
    cleaned = apply("clean", Scene(replace(s, log_scales=scales, logit_opacities=logits)), log).splats
    assert len(cleaned) == 50
    assert cleaned.log_scales[0, 0] == -MAX_LOG_SCALE
    assert cleaned.log_scales[1, 2] == MAX_LOG_SCALE
    assert cleaned.logit_opacities[:2].tolist() == [MAX_LOGIT, -MAX_LOGIT]
    assert len(log.warnings) == 2


def test_clean_drops_faint_ones_on_request() -> None:
    scene = blob(500)
    opacity = 1 / (1 + np.exp(-scene.splats.logit_opacities))
    assert len(apply("clean:min_opacity=0.1", scene)) == int((opacity >= 0.1).sum()) < 500


def test_sort_keeps_every_gaussian_and_brings_neighbours_together() -> None:
    scene = numbered(blob(2000))
    sorted_scene = Sort()(scene, Context())
    assert (rows(sorted_scene) == rows(scene)).all()
    order = sorted_scene.splats.extras["row"]
    assert (sorted_scene.splats.means == scene.splats.means[order]).all()

    def walk(s: Scene) -> float:
        return float(np.linalg.norm(np.diff(s.splats.means, axis=0), axis=1).mean())

    assert walk(sorted_scene) < 0.35 * walk(scene)
    assert (rows(Sort()(sorted_scene, Context())) == rows(scene)).all()


def test_morton_order_equals_the_slow_twin() -> None:
    cells = np.random.default_rng(0).integers(0, 2**21, (300, 3))
    cells[0], cells[1] = 0, 2**21 - 1  # so that the grid over the bounding box is the integers themselves

    def code(cell: npt.NDArray[np.int64]) -> int:
        return sum(((int(cell[axis]) >> bit) & 1) << (3 * bit + 2 - axis) for axis in range(3) for bit in range(21))

    codes = [code(cell) for cell in cells]
    assert morton_order(cells.astype(np.float64)).tolist() == sorted(range(300), key=codes.__getitem__)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_sort_takes_degenerate_scenes(count: int) -> None:
    scene = Scene(blob(1).splats.take(np.zeros(count, int)))
    assert len(Sort()(scene, Context())) == count
    lost = replace(scene, splats=replace(scene.splats, means=np.full_like(scene.splats.means, np.nan)))
    assert len(Sort()(lost, Context())) == count


def test_crop_keeps_what_is_inside() -> None:
    scene = blob(500)
    means = scene.splats.means
    box = apply("crop:box=-1+-0.5+0+1+0.5+2", scene)
    assert len(box) == int(((means >= [-1, -0.5, 0]) & (means <= [1, 0.5, 2])).all(1).sum()) > 0
    ball = apply("crop:ball=1+0+0+0.8", scene)
    assert len(ball) == int((np.linalg.norm(means - [1, 0, 0], axis=1) <= 0.8).sum()) > 0


def test_sh_degree_cuts_and_pads() -> None:
    scene = blob(20, 2)
    assert (apply("sh:degree=1", scene).splats.sh == scene.splats.sh[:, :4]).all()
    padded = apply("sh:degree=3", scene).splats.sh
    assert (padded[:, :9] == scene.splats.sh).all()
    assert not padded[:, 9:].any()


def test_frame_turns_and_turns_back() -> None:
    scene = blob(20)
    there = apply("frame:to=RUB", scene)
    assert there.frame.axes == "RUB"
    np.testing.assert_allclose(there.splats.means, scene.splats.means * [1, -1, -1], atol=1e-6)
    back = apply("frame:to=rdf", there)
    np.testing.assert_allclose(back.splats.means, scene.splats.means, atol=1e-6)
    np.testing.assert_allclose(back.splats.sh, scene.splats.sh, atol=1e-5)


def test_changes_are_reported() -> None:
    messages: list[str] = []
    log = EventLog(lambda event: messages.append(event.text) if isinstance(event, Message) else None)
    for spec in ("clean:min_opacity=0.5", "crop:ball=0+0+0+1", "sh:degree=0", "frame:to=RUB"):
        apply(spec, blob(50), log)
    assert [message.split(":")[0] for message in messages] == ["clean", "crop", "sh", "frame"]


@pytest.mark.parametrize(
    "spec",
    [
        "clean:min_opacity=1",
        "clean:nothing=1",
        "crop",
        "crop:box=1+2",
        "crop:box=1+1+1+0+0+0",
        "crop:ball=0+0+0+0",
        "sh:degree=4",
        "sh:degree=x",
        "frame",
        "frame:to=XYZ",
        "nosuch",
        "sh:degree",
        ":a=1",
    ],
)
def test_nonsense_is_a_usage_error(spec: str) -> None:
    with pytest.raises(UsageError):
        parse_transforms([spec])


def test_clean_is_idempotent() -> None:
    scene = damaged(means=np.nan, log_scales=np.inf, logit_opacities=-np.inf)
    once = Clean()(scene, Context())
    log = EventLog()
    assert (rows(Clean()(once, Context(log=log))) == rows(once)).all()
    assert not log.warnings
