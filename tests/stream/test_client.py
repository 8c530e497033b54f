"""The client library: order, seeking, bounded memory, choice of rendition, live streams, hostile manifests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from faulty import FaultyServer
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_toy import FPS, GOP, ToyCodec, number_of, toy_scene, write_file, write_folder

from gscompress import formats
from gscompress.cli import stream_views
from gscompress.cli.main import run
from gscompress.context import Context
from gscompress.errors import MissingExtraError, UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.stream import manifest as manifests
from gscompress.stream import opening, transport
from gscompress.stream.client import StreamFrame
from gscompress.stream.fetch import Patience
from gscompress.stream.folder import FolderWriter
from gscompress.stream.frames import encode_gops, header_for
from gscompress.stream.live import LiveFrames, follow, printed
from gscompress.stream.manifest import Group, Manifest, Rendition, Segment
from gscompress.stream.opening import open_stream
from gscompress.stream.prefetch import Options
from gscompress.stream.throughput import Throughput, choose

EAGER = Options(poll=0.02, patience=Patience(tries=2, seconds=0.5, stall=0.5, first=0.01, longest=0.05))


def within(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), seconds))


def numbers(frames: list[StreamFrame]) -> list[int]:
    assert not any(frame.held for frame in frames)
    assert [number_of(frame.scene) for frame in frames] == [frame.index for frame in frames]
    return [frame.index for frame in frames]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same stream as a folder and as a file, of 22 frames: the last group is shorter."""
    folder = tmp_path_factory.mktemp("streams")
    write_folder(folder / "s", 22)
    write_file(folder / "s.gscz", 22)
    return folder


def test_every_way_to_a_stream_leads_to_the_same_frames(places: Path) -> None:
    async def work() -> None:
        async with FaultyServer(places) as server:
            ways = [
                f"{base}{name}" for base in (server.url, f"{places}/") for name in ("s", "s/manifest.json", "s.gscz")
            ]
            ways[0] += "/"
            for way in ways:
                async with await open_stream(way) as stream:
                    assert stream.manifest.frames == 22
                    assert stream.manifest.fps == FPS
                    assert numbers([frame async for frame in stream.frames()]) == list(range(22))

    within(10, work)


def test_any_static_server_will_do_for_a_folder_and_one_without_ranges_is_named_for_a_file(places: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return None

    plain = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(places)))
    thread = threading.Thread(target=plain.serve_forever)
    thread.start()

    async def work() -> None:
        async with await open_stream(f"http://127.0.0.1:{plain.server_port}/s/") as stream:
            assert numbers([frame async for frame in stream.frames()]) == list(range(22))
        with pytest.raises(UnreadableError, match="ignores range requests: publish the stream as a folder"):
            await open_stream(f"http://127.0.0.1:{plain.server_port}/s.gscz")

    try:
        within(10, work)
    finally:
        plain.shutdown()
        thread.join()
        plain.server_close()


def test_the_init_segment_and_the_groups_make_up_a_file(places: Path, tmp_path: Path) -> None:
    parts = [places / "s" / "q1" / "init.gscz", *sorted((places / "s" / "q1").glob("*.gop"))]
    (tmp_path / "joined.gscz").write_bytes(b"".join(part.read_bytes() for part in parts))

    async def work() -> None:
        async with await open_stream(str(tmp_path / "joined.gscz")) as stream:
            assert numbers([frame async for frame in stream.frames()]) == list(range(22))

    within(10, work)


def test_info_and_decode_take_the_largest_rendition_of_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "s", 6, qualities=(1, 5))
    assert run(["stream", "info", str(tmp_path / "s"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["frames"], facts["gops"], facts["cut_off"]) == (6, 2, False)
    assert "quality=5" in facts["codec"]
    assert run(["stream", "decode", str(tmp_path / "s"), str(tmp_path / "five.npz"), "--frame", "5"]) == 0
    assert number_of(formats.read(tmp_path / "five.npz", EventLog())) == 5
    damaged = next((tmp_path / "s" / "q5").glob("000001-*"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert run(["stream", "decode", str(tmp_path / "s"), str(tmp_path / "out")]) == 3
    assert "q5/000001-" in capsys.readouterr().err
    assert run(["stream", "info", str(tmp_path)]) == 3


def test_seeking_starts_at_any_frame_and_looping_goes_round(places: Path) -> None:
    async def work() -> None:
        for name in ("s", "s.gscz"):
            async with await open_stream(str(places / name)) as stream:
                for start in (0, 5, GOP, 21):
                    assert numbers([frame async for frame in stream.frames(start)]) == list(range(start, 22))
                    assert number_of((await stream.frame(start)).scene) == start
                with pytest.raises(UnreadableError, match="there is no frame 22"):
                    await stream.frame(22)
                playing = stream.frames(19, loop=True)
                assert numbers([await anext(playing) for _ in range(30)]) == [19, 20, 21, *range(22), *range(5)]
                await playing.aclose()

    within(10, work)


def test_a_reader_that_waits_is_not_run_over(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", 40 * GOP)

    async def work() -> None:
        async with FaultyServer(tmp_path / "s") as server:
            options = Options(prefetch=3 * GOP / FPS, ahead=2)
            async with await open_stream(server.url, options) as stream:
                playing = stream.frames()
                await anext(playing)
                await asyncio.sleep(0.3)
                assert sum(path.endswith(".gop") for path in server.asked) <= 1 + 3
                await playing.aclose()
                asked = server.asked.total()
                await asyncio.sleep(0.2)
                assert server.asked.total() == asked
            one = (tmp_path / "s/q1/init.gscz").stat().st_size
            async with await open_stream(server.url, replace(options, memory=one)) as stream:
                assert numbers([frame async for frame in stream.frames()]) == list(range(40 * GOP))

    within(10, work)


def test_a_loop_that_fits_into_memory_is_downloaded_once(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", 4 * GOP)

    async def work() -> None:
        async with FaultyServer(tmp_path / "s") as server, await open_stream(server.url) as stream:
            playing = stream.frames(loop=True)
            assert [(await anext(playing)).index for _ in range(12 * GOP)] == list(range(4 * GOP)) * 3
            await playing.aclose()
            assert max(server.asked.values()) == 1

    within(10, work)


def test_the_rendition_follows_the_bandwidth_unless_one_is_pinned(tmp_path: Path) -> None:
    manifest = write_folder(tmp_path / "s", 12 * GOP, qualities=(20, 100))
    low, high = (manifest.bitrate(rendition) for rendition in manifest.renditions)

    async def work() -> None:
        async with FaultyServer(tmp_path / "s") as server:

            async def played(options: Options) -> list[str]:
                async with await open_stream(server.url, options) as stream:
                    frames = [frame async for frame in stream.frames()]
                numbers(frames)
                return [frame.rendition for frame in frames]

            names = await played(Options())
            assert names[0] == "q20"
            assert names[-1] == "q100"
            server.rate = (low + high) / 6  # a request; with three of them at once half-way between the two
            assert set(await played(Options(ahead=1))) == {"q20"}
            server.rate = None
            assert set(await played(Options(rendition="q20"))) == {"q20"}
            with pytest.raises(UnreadableError, match="choose from q20, q100"):
                await played(Options(rendition="q1"))

    within(20, work)


def test_groups_of_renditions_need_not_begin_together(tmp_path: Path) -> None:
    scenes = [toy_scene(number) for number in range(60)]
    codecs = {"q20": (ToyCodec(20), 7), "q100": (ToyCodec(100), 4)}
    headers = {name: header_for(scenes[0], codec, fps=FPS, gop=gop) for name, (codec, gop) in codecs.items()}
    writer = FolderWriter(tmp_path / "s", FPS, headers)
    writer.write({n: encode_gops(scenes, c, Context(), FPS, gop) for n, (c, gop) in codecs.items()}, live=False)

    async def work() -> None:
        async with FaultyServer(tmp_path / "s") as server, await open_stream(server.url) as stream:
            frames = [frame async for frame in stream.frames()]
            assert numbers(frames) == list(range(60))
            assert {frame.rendition for frame in frames} == {"q20", "q100"}
            assert stream.lost == 0

    within(10, work)


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
    places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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


def test_what_is_no_stream_is_one_line(places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manifest.json").write_text("{")
    monkeypatch.setattr(opening, "HASTE", EAGER.patience)

    async def work() -> None:
        for where, kind, message in (
            (str(tmp_path), UnreadableError, "manifest is malformed"),
            (str(tmp_path / "none"), UnreadableError, "no such file"),
            ("ftp://x/y", UsageError, "http"),
            ("http://", UsageError, "names no server"),
            ("http://127.0.0.1:1/x/", UnreadableError, "http://127.0.0.1:1/x/: manifest.json: "),
        ):
            with pytest.raises(kind, match=message):
                await open_stream(where)

    within(10, work)
    monkeypatch.setitem(__import__("sys").modules, "aiohttp", None)
    with pytest.raises(MissingExtraError, match=r"gscompress\[stream\]"):
        transport.place("http://127.0.0.1/", 1.0)


GOOD = json.loads(
    manifests.to_json(
        Manifest(
            30.0,
            False,
            [
                Rendition(
                    "a",
                    Segment("a/i.gscz", 9, 1),
                    [Group(0, 2, Segment("a/0.gop", 5, 2)), Group(2, 1, Segment("a/1.gop", 5, 3))],
                )
            ],
        )
    )
)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["version"], 2),
        (["format"], "mpd"),
        (["fps"], 0),
        (["fps"], float("nan")),
        (["live"], 1),
        (["renditions"], []),
        (["renditions"], GOOD["renditions"] * 2),
        (["renditions", 0, "name"], "../a"),
        (["renditions", 0, "groups"], []),
        (["renditions", 0, "groups", 1, "first_frame"], 1),
        (["renditions", 0, "groups", 1, "frames"], 1 << 40),
        (["renditions", 0, "groups", 0, "bytes"], 1 << 40),
        (["renditions", 0, "groups", 0, "bytes"], 1.5),
        (["renditions", 0, "groups", 0, "path"], "../../etc/passwd"),
        (["renditions", 0, "groups", 0, "path"], "/etc/passwd"),
        (["renditions", 0, "groups", 0, "path"], "http://elsewhere.example/x"),
        (["renditions", 0, "groups", 0, "path"], "a/.ssh"),
        (["renditions", 0, "groups", 0, "path"], "a\\b"),
        (["renditions", 0, "init", "crc32"], "zz"),
    ],
)
def test_a_manifest_that_lies_is_refused(place: list[Any], value: Any) -> None:
    body = json.loads(json.dumps(GOOD))
    assert manifests.from_json(json.dumps(body).encode()).frames == 3
    inner = body
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    with pytest.raises(UnreadableError):
        manifests.from_json(json.dumps(body).encode())


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda v: (
            st.lists(v, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "format",
                        "version",
                        "fps",
                        "live",
                        "renditions",
                        "name",
                        "init",
                        "groups",
                        "path",
                        "bytes",
                        "crc32",
                    ]
                ),
                v,
                max_size=5,
            )
        ),
        max_leaves=20,
    ),
    st.integers(0, 500),
)
def test_no_json_and_no_damaged_manifest_is_anything_but_unreadable(value: Any, at: int) -> None:
    with pytest.raises(UnreadableError):
        manifests.from_json(json.dumps(value).encode())
    data = bytearray(json.dumps(GOOD).encode())
    data[at % len(data)] ^= 1 << at % 7
    with contextlib.suppress(UnreadableError):
        manifests.from_json(bytes(data))


def test_throughput_counts_parallel_downloads_once_and_notices_a_drop() -> None:
    now = [0.0]
    speed = Throughput(lambda: now[0])
    assert speed.estimate is None
    speed.begins()
    now[0] = 1.0
    speed.begins()
    now[0] = 2.0
    speed.ends(1_000_000)
    speed.ends(1_000_000)
    assert speed.estimate == pytest.approx(1e6, rel=0.01)
    now[0] = 50.0  # nothing was on its way: no drop
    speed.begins()
    now[0] = 54.0
    speed.ends(400_000)
    assert speed.estimate is not None
    assert 1e5 < speed.estimate < 7e5


def test_the_choice_is_careful_upwards_and_when_little_is_in_hand() -> None:
    rates = [1e5, 1e6, 4e6]
    assert choose(rates, None, 9, 2) == 0
    assert choose(rates, 1e7, 9, 0) == 1
    assert choose(rates, 1e7, 9, 1) == 2
    assert choose(rates, 5.5e6, 9, 2) == 2
    assert choose(rates, 5.5e6, 9, 1) == 1
    assert choose(rates, 5.5e6, 0, 2) == 1
    assert choose(rates, 1e3, 9, 2) == 0
