"""Sequences tracked by photos: the first frame's Gaussians follow what the photos of later frames show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from moving_scenes import shell, turned
from PIL import Image
from test_retarget import CAMERAS, RENDERER, resampled, seen

from gscompress import formats
from gscompress.cli.main import run
from gscompress.context import Context
from gscompress.scene import Scene
from gscompress.stream.file import StreamFile
from gscompress.stream.frames import GopDecoder
from gscompress.stream.photos import PhotoFrames, Photos

SCENES = [turned(resampled(0), 0.06 * t) for t in range(3)]


def pictures(scene: Scene) -> Photos:
    some = CAMERAS[::2]
    return some, [np.round(255 * np.clip(RENDERER.render(scene, c).rgb, 0, 1)).astype(np.uint8) for c in some]


def test_gaussians_follow_the_photos_into_views_that_no_photo_shows() -> None:
    frames = PhotoFrames(SCENES[0], lambda number: pictures(SCENES[number]), 3, Context(renderer=RENDERER), updates=60)
    made = list(frames)
    assert [len(scene) for scene in made] == [len(SCENES[0])] * 3
    assert np.array_equal(made[0].splats.means, SCENES[0].splats.means)
    for still, scene, truth in zip([made[0]] * 2, made[1:], SCENES[1:], strict=True):
        assert seen(scene, truth) > seen(still, truth) + 2
    assert [np.array_equal(a.splats.means, b.splats.means) for a, b in zip(made, frames)] == [True] * 3


def test_the_command_line_takes_a_folder_of_photos_per_frame(tmp_path: Path) -> None:
    formats.write(SCENES[0], tmp_path / "first.ply")
    for number, scene in enumerate(SCENES):
        folder = tmp_path / "photos" / f"frame{number}"
        folder.mkdir(parents=True)
        frames = []
        for k, (camera, photo) in enumerate(zip(*pictures(scene))):
            pose = np.linalg.inv(camera.w2c) @ np.diag([1.0, -1, -1, 1])
            frames.append({"file_path": f"{k}.png", "transform_matrix": pose.tolist()})
            Image.fromarray(photo).save(folder / f"{k}.png")
        lens = {"fl_x": 80.0, "fl_y": 80.0, "cx": 48.0, "cy": 36.0, "w": 96, "h": 72}
        (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}), "utf-8")
    film = tmp_path / "film.gscz"
    given = [str(tmp_path / "first.ply"), str(film), "--photos", str(tmp_path / "photos"), "--updates", "40"]
    assert run(["stream", "encode", *given, "--quality", "60"]) == 0
    stream = StreamFile(film)
    decoded = [s for place in stream.gops for _, s in GopDecoder(stream.header).frames(stream.data(place))]
    assert len(decoded) == 3
    assert seen(decoded[2], SCENES[2]) > seen(decoded[0], SCENES[2]) + 1
    assert run(["stream", "encode", str(tmp_path / "first.ply"), str(film), "--photos", str(tmp_path / "none")]) != 0


def test_tuning_is_asked_for_on_the_command_line_and_only_our_codec_has_it(tmp_path: Path) -> None:
    formats.write(shell(200), tmp_path / "first.ply")
    given = ["stream", "encode", str(tmp_path / "first.ply")]
    assert run([*given, str(tmp_path / "a.gscz"), "--tune", "5"]) == 0
    assert StreamFile(tmp_path / "a.gscz").header["codec"]["config"]["tune"] == 5
    assert run([*given, str(tmp_path / "b.gscz"), "--tune", "5", "--codec", "intra"]) == 2
    assert not (tmp_path / "b.gscz").exists()


def test_frames_without_photos_are_refused(tmp_path: Path) -> None:
    formats.write(shell(50), tmp_path / "first.ply")
    (tmp_path / "photos").mkdir()
    given = [str(tmp_path / "first.ply"), str(tmp_path / "o.gscz"), "--photos", str(tmp_path / "photos")]
    assert run(["stream", "encode", *given]) != 0
