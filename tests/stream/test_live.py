"""Streams that are still being made: clients that follow, folders that grow, and several renditions at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faulty import FaultyServer
from stream_toy import FPS, GOP, ToyCodec, number_of, numbers, toy_scene, within, write_folder

from gscompress import formats
from gscompress.cli import stream_views
from gscompress.cli.main import run
from gscompress.context import Context
from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.stream import manifest as manifests
from gscompress.stream.fetch import Patience
from gscompress.stream.folder import FolderWriter
from gscompress.stream.frames import encode_gops, header_for
from gscompress.stream.live import LiveFrames, follow, printed
from gscompress.stream.opening import open_stream
from gscompress.stream.prefetch import Options

EAGER = Options(poll=0.02, patience=Patience(tries=2, seconds=0.5, stall=0.5, first=0.01, longest=0.05))


def test_a_live_stream_is_played_while_it_grows(tmp_path: Path) -> None:
    arrived = threading.Semaphore(0)

    def arrivals() -> Iterator[Any]:
        for number in range(6 * GOP):
            arrived.acquire()
            yield toy_scene(number)

    header = header_for(toy_scene(0), ToyCodec(), fps=FPS, gop=GOP)
    writer = FolderWriter(tmp_path / "s", FPS, {"q0": header})
    writer.publish(live=True)
    gops = encode_gops(arrivals(), ToyCodec(), Context(), FPS, GOP)
    encoder = threading.Thread(target=lambda: writer.write({"q0": gops}, live=True))
    encoder.start()

    async def work() -> None:
        async with FaultyServer(tmp_path / "s") as server, await open_stream(server.url, EAGER) as stream:
            assert stream.manifest.live
            playing, frames = stream.frames(), []
            for _ in range(6):
                arrived.release(GOP)
                frames += [await anext(playing) for _ in range(GOP)] if len(frames) < 5 * GOP else []
                if not frames[GOP:]:
                    async with await open_stream(server.url, EAGER) as late:
                        assert late.manifest.frames in (0, GOP)
            frames += [frame async for frame in playing]
            assert numbers(frames) == list(range(6 * GOP))
            assert not stream.manifest.live

    try:
        within(10, work)
    finally:
        arrived.release(100)
        encoder.join()


def test_a_live_stream_that_is_replaced_is_not_continued(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", 2 * GOP)
    manifest = manifests.from_json((tmp_path / "s" / "manifest.json").read_bytes())
    (tmp_path / "s" / "manifest.json").write_bytes(manifests.to_json(replace(manifest, live=True)))
    write_folder(tmp_path / "t", 3 * GOP, gop=3)

    async def work() -> None:
        async with await open_stream(str(tmp_path / "s"), EAGER) as stream:
            playing = stream.frames()
            assert [number_of((await anext(playing)).scene) for _ in range(2 * GOP)] == list(range(2 * GOP))
            (tmp_path / "s" / "manifest.json").write_bytes((tmp_path / "t" / "manifest.json").read_bytes())
            with pytest.raises(UnreadableError, match="replaced by another"):
                await anext(playing)

    within(10, work)


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy codec looks at no renders: do without finding views for them."""
    monkeypatch.setattr(stream_views, "context_for", lambda first, cameras, log: Context(log=log))


@pytest.mark.usefixtures("unseen")
def test_a_growing_folder_is_followed_file_by_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames, out = tmp_path / "frames", tmp_path / "out"
    frames.mkdir()

    def capture() -> None:
        for number in range(6):
            formats.write(toy_scene(number), frames / f"f{number}.ply")
            time.sleep(0.05)
        whole = (frames / "f5.ply").read_bytes()
        with (frames / "f6.ply").open("wb") as slow:  # half of it for a while: it must not be read yet
            slow.write(whole[:700])
            slow.flush()
            time.sleep(0.2)
            slow.write(whole[700:])
        (frames / "f7.ply").write_bytes(b"ply\nbroken")
        (frames / "notes.txt").write_text("no frame")

    camera = threading.Thread(target=capture)
    camera.start()
    command = ["stream", "encode", str(frames), str(out), "--live", "--idle", "0.8", "--codec", "toy", "--gop", "3"]
    assert run([*command, "--fps", "20", "--quality", "0"]) == 0
    camera.join()
    captured = capsys.readouterr()
    assert "8 frames" in captured.out
    assert "f7.ply" in captured.err

    async def work() -> None:
        async with await open_stream(str(out)) as stream:
            assert [number_of(frame.scene) async for frame in stream.frames()] == [0, 1, 2, 3, 4, 5, 5, 5]
            assert not stream.manifest.live

    within(10, work)


def test_frames_that_come_too_late_are_left_out_and_paths_can_come_from_a_program(tmp_path: Path) -> None:
    for number in (0, 2):
        formats.write(toy_scene(number), tmp_path / f"f{number}.ply")
    log = EventLog()
    names = []
    for path in follow(tmp_path, log, idle=0.3):
        names.append(path.name)
        if path.name == "f2.ply":
            formats.write(toy_scene(1), tmp_path / "f1.ply")
            formats.write(toy_scene(3), tmp_path / "f3.ply")
    assert names == ["f0.ply", "f2.ply", "f3.ply"]
    assert any("f1.ply" in warning for warning in log.warnings)

    lines = [f"{tmp_path}/f0.ply\n", "\n", f"{tmp_path}/none.ply\n", f"{tmp_path}/f3.ply"]
    scenes = LiveFrames(printed(lines), log)
    assert [number_of(scene) for scene in scenes] == [0, 0, 3]
    assert [number_of(scene) for scene in scenes] == [0, 0, 3]


@pytest.mark.usefixtures("unseen")
def test_several_qualities_become_a_folder_and_wrong_wishes_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        formats.write(toy_scene(number), tmp_path / f"f{number}.ply")
    encode = ["stream", "encode", str(tmp_path), "--codec", "toy"]
    assert run([*encode, str(tmp_path / "out"), "--qualities", "2,62.5", "--gop", "2"]) == 0
    manifest = manifests.from_json((tmp_path / "out" / "manifest.json").read_bytes())
    assert [(r.name, r.frames, len(r.groups)) for r in manifest.renditions] == [("q2", 3, 2), ("q62-5", 3, 2)]
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "notes.txt").write_text("mine")
    capsys.readouterr()
    for wish, complaint in (
        ([str(tmp_path / "x.gscz"), "--qualities", "1,2"], "need a folder"),
        ([str(tmp_path / "x.gscz"), "--live"], "need a folder"),
        ([str(tmp_path / "x.mp4")], ".gscz files, or folders"),
        ([str(tmp_path / "x"), "--qualities", "1;2"], "30,60"),
        ([str(tmp_path / "x"), "--qualities", "1,200"], "out of range"),
        ([str(tmp_path / "out")], "--force"),
        ([str(tmp_path / "precious"), "--force"], "something else"),
    ):
        assert run([*encode, *wish]) == 2
        assert complaint in capsys.readouterr().err
    assert (tmp_path / "precious" / "notes.txt").exists()
    assert run([*encode, str(tmp_path / "out"), "--force"]) == 0
