"""The client library: order, seeking, bounded memory, choice of rendition, wrong wishes."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from faulty import FaultyServer
from stream_toy import FPS, GOP, ToyCodec, number_of, numbers, toy_scene, within, write_file, write_folder

from gscompress import formats
from gscompress.cli.main import run
from gscompress.context import Context
from gscompress.errors import MissingExtraError, UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.stream import opening, transport
from gscompress.stream.fetch import Patience
from gscompress.stream.folder import FolderWriter
from gscompress.stream.frames import encode_gops, header_for
from gscompress.stream.opening import open_stream
from gscompress.stream.prefetch import Options

EAGER = Options(poll=0.02, patience=Patience(tries=2, seconds=0.5, stall=0.5, first=0.01, longest=0.05))


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
