"""Networks that lose, cut, flip, delay, swap: playback goes on within one group, no wrong frame is shown as right."""

from __future__ import annotations

import asyncio
import random
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from faulty import Fault, FaultyServer
from moving_scenes import bent, shell
from stream_toy import FPS, GOP, number_of, within, write_file, write_folder

from gscompress.context import Context
from gscompress.errors import UnreadableError
from gscompress.stream import opening
from gscompress.stream.client import StreamFrame
from gscompress.stream.fetch import Patience
from gscompress.stream.folder import FolderWriter
from gscompress.stream.frames import GopDecoder, encode_gops, header_for
from gscompress.stream.opening import open_stream
from gscompress.stream.ours import StreamCodec
from gscompress.stream.prefetch import Options

HASTY = Options(patience=Patience(tries=2, seconds=0.4, stall=0.2, first=0.01, longest=0.05))
CALM = Options(patience=Patience(tries=3, seconds=5.0, stall=0.2, first=0.02, longest=0.1))


async def play(where: str, options: Options) -> list[StreamFrame]:
    async with await open_stream(where, options) as stream:
        return [frame async for frame in stream.frames()]


def held(frames: list[StreamFrame], count: int, first: int = 0) -> set[int]:
    """The numbers of the held frames; all frames are there, in order, and none shows what it is not."""
    assert [frame.index for frame in frames] == list(range(first, count))
    good = first
    for frame in frames:
        if not frame.held:
            good = frame.index
        assert number_of(frame.scene) == good
        assert bool(frame.reason) == frame.held
    return {frame.index for frame in frames if frame.held}


def group(path: str) -> int | None:
    """Which group of pictures a path is."""
    name = path.rpartition("/")[2]
    return int(name[:6]) if name.endswith(".gop") else None


def of_groups(*groups: int) -> set[int]:
    return {number for one in groups for number in range(one * GOP, (one + 1) * GOP)}


def test_of_5_percent_lost_segments_only_their_own_frames_are_held(tmp_path: Path) -> None:
    groups = 100
    write_folder(tmp_path / "s", groups * GOP)
    lost = set(random.Random(7).sample(range(1, groups), 5))

    async def work() -> None:
        async with FaultyServer(tmp_path / "s", lambda path, _: "missing" if group(path) in lost else None) as server:
            assert held(await play(server.url, HASTY), groups * GOP) == of_groups(*lost)

    within(10, work)


@pytest.mark.parametrize("fault", ["missing", "broken", "silent", "stalled", "cut", "short", "flipped", "other"])
def test_what_goes_wrong_once_is_not_noticed_and_what_stays_wrong_costs_one_group(tmp_path: Path, fault: str) -> None:
    write_folder(tmp_path / "s", 6 * GOP)

    def once(path: str, before: int) -> str | None:
        return fault if group(path) == 2 and not before else None

    def always(path: str, before: int) -> str | None:
        return fault if group(path) == 2 else None

    async def work() -> None:
        async with FaultyServer(tmp_path / "s", once) as server:
            assert held(await play(server.url, CALM), 6 * GOP) == set()
            assert max(server.asked.values()) == 2
            server.fault = always
            assert held(await play(server.url, HASTY), 6 * GOP) == of_groups(2)

    within(10, work)


@pytest.mark.parametrize("seed", [8, 19])
def test_whatever_goes_wrong_everywhere_no_frame_is_missing_or_wrong(tmp_path: Path, seed: int) -> None:
    kinds = ["missing", "broken", "silent", "stalled", "cut", "short", "flipped", "other", "late"]
    write_folder(tmp_path / "s", 40 * GOP, qualities=(3, 20, 60))
    dice = random.Random(seed)

    def fault(path: str, before: int) -> str | None:
        return dice.choice(kinds) if group(path) and dice.random() < 0.2 else None

    async def work() -> None:
        async with FaultyServer(tmp_path / "s", fault) as server:
            lost = held(await play(server.url, replace(HASTY, give_up=40)), 40 * GOP)
            assert lost == of_groups(*{number // GOP for number in lost})
            assert len(lost) < 10 * GOP

    within(15, work)


def test_frames_of_our_own_codec_are_right_or_held(tmp_path: Path) -> None:
    scenes, codec = [bent(shell(300), 0.05 * t) for t in range(12)], StreamCodec(quality=40, refresh=2)
    header = header_for(scenes[0], codec, fps=FPS, gop=GOP, frames=len(scenes))
    gops = list(encode_gops(scenes, codec, Context(), FPS, GOP))
    writer = FolderWriter(tmp_path / "s", FPS, {"q40": header})
    for one in gops:
        writer.add("q40", one)
    writer.publish(live=False)
    truth = [scene.splats.means for one in gops for _, scene in GopDecoder(header).frames(one.data)]

    async def work() -> None:
        for fault in ("missing", "short", "flipped", "other"):
            async with FaultyServer(tmp_path / "s", lambda path, _, f=fault: f if group(path) == 1 else None) as server:  # type: ignore[misc]
                good = 0
                for frame in await play(server.url, HASTY):
                    assert frame.held == (frame.index // GOP == 1)
                    good = good if frame.held else frame.index
                    assert np.array_equal(frame.scene.splats.means, truth[good])

    within(20, work)


def test_a_server_that_drips_for_ever_is_given_up(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", 4 * GOP)

    async def work() -> None:
        async with FaultyServer(tmp_path / "s", lambda path, _: "dripping" if group(path) == 2 else None) as server:
            assert held(await play(server.url, HASTY), 4 * GOP) == of_groups(2)

    within(10, work)


def test_another_rendition_stands_in_for_one_that_is_lost(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", 12 * GOP, qualities=(20, 90))

    def fault(path: str, before: int) -> str | None:
        return "flipped" if path.startswith("q90/") and group(path) is not None else None

    async def work() -> None:
        async with FaultyServer(tmp_path / "s", fault) as server:
            for _ in range(5):  # a busy machine may measure so little throughput that the better one is never tried
                frames = await play(server.url, HASTY)
                assert held(frames, 12 * GOP) == set()
                assert {frame.rendition for frame in frames} == {"q20"}
                if any(path.startswith("q90/0") for path in server.asked):
                    return
            raise AssertionError("the better rendition was never tried")

    within(30, work)


def test_a_lost_beginning_is_left_out_and_a_stream_without_any_good_group_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", 3 * GOP)

    def from_group(first: int) -> Fault:
        return lambda path, _: "short" if (number := group(path)) is not None and number < first else None

    async def work() -> None:
        async with FaultyServer(tmp_path / "s", from_group(1)) as server:
            assert held(await play(server.url, HASTY), 3 * GOP, first=GOP) == set()
            server.fault = from_group(3)
            with pytest.raises(UnreadableError, match=r"could be played: q1/.* bytes"):
                await play(server.url, HASTY)

    within(10, work)


def test_segments_that_arrive_out_of_order_are_shown_in_order(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", 6 * GOP)

    async def work() -> None:
        async with FaultyServer(
            tmp_path / "s", lambda path, _: "late" if (group(path) or 1) % 3 == 0 else None
        ) as server:
            assert held(await play(server.url, CALM), 6 * GOP) == set()

    within(10, work)


def test_a_server_that_restarts_costs_no_frame(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", 12 * GOP)

    async def work() -> None:
        server = FaultyServer(tmp_path / "s")
        frames = []
        async with server:
            stream = await open_stream(server.url, CALM)
            playing = stream.frames()
            frames += [await anext(playing) for _ in range(GOP)]
        restart = asyncio.create_task(_later(0.4, server))
        frames += [frame async for frame in playing]
        await (await restart).__aexit__()
        await stream.close()
        assert held(frames, 12 * GOP) == set()
        assert stream.fetcher.retries > 0

    within(15, work)


async def _later(seconds: float, server: FaultyServer) -> FaultyServer:
    await asyncio.sleep(seconds)
    return await server.__aenter__()


def test_a_server_that_is_gone_for_good_ends_the_playback_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "s", 30 * GOP)

    async def work() -> None:
        async with FaultyServer(tmp_path / "s") as server:
            stream = await open_stream(server.url, replace(HASTY, give_up=3))
            playing = stream.frames()
            frames = [await anext(playing)]
        monkeypatch.setattr(opening, "HASTE", HASTY.patience)
        with pytest.raises(UnreadableError, match=r"3 groups of pictures in a row are lost: [^\n]*"):
            frames += [frame async for frame in playing]
        await stream.close()
        with pytest.raises(UnreadableError):
            await open_stream(server.url)

    within(15, work)


def test_in_a_single_file_frames_before_the_damage_are_shown_and_the_rest_of_the_group_is_held(tmp_path: Path) -> None:
    write_file(tmp_path / "whole.gscz", 5 * GOP)
    data = bytearray((tmp_path / "whole.gscz").read_bytes())
    third = [place for place in range(len(data)) if data.startswith((b"KEYF", b"DIFF"), place)][2 * GOP + 2]
    data[third + 100] ^= 1
    (tmp_path / "file.gscz").write_bytes(data)

    async def work() -> None:
        async with FaultyServer(tmp_path) as server:
            for where in (f"{server.url}file.gscz", str(tmp_path / "file.gscz")):
                assert held(await play(where, HASTY), 5 * GOP) == {2 * GOP + 2, 2 * GOP + 3}

    within(10, work)


def test_groups_of_a_file_that_changed_places_are_not_shown_as_each_other(tmp_path: Path) -> None:
    write_file(tmp_path / "whole.gscz", 4 * GOP)
    data = (tmp_path / "whole.gscz").read_bytes()
    keys = _keys(data)
    one, two = data[keys[1] : keys[2]], data[keys[2] : keys[3]]
    assert len(one) == len(two)
    (tmp_path / "file.gscz").write_bytes(data[: keys[1]] + two + one + data[keys[3] :])

    async def work() -> None:
        assert held(await play(str(tmp_path / "file.gscz"), HASTY), 4 * GOP) == of_groups(1, 2)

    within(10, work)


def _keys(data: bytes) -> list[int]:
    """Where the first four groups of a file begin."""
    return [place for place in range(len(data)) if data.startswith(b"KEYF", place)][:4]


def test_a_cut_off_file_plays_to_its_end_here_and_says_so_over_http(tmp_path: Path) -> None:
    write_file(tmp_path / "whole.gscz", 4 * GOP)
    data = (tmp_path / "whole.gscz").read_bytes()
    (tmp_path / "cut.gscz").write_bytes(data[: _keys(data)[3] + 7])
    (tmp_path / "bad.gscz").write_bytes(data[:-8] + struct.pack("<Q", 1 << 60))
    (tmp_path / "html.gscz").write_bytes(b"<html>" * 100)

    async def work() -> None:
        assert held(await play(str(tmp_path / "cut.gscz"), HASTY), 3 * GOP) == set()
        async with FaultyServer(tmp_path) as server:
            for name, message in (("cut", "cut off"), ("bad", "cut off"), ("html", "signature"), ("none", "404")):
                with pytest.raises(UnreadableError, match=message):
                    await play(f"{server.url}{name}.gscz", HASTY)

    within(10, work)


def test_a_file_that_is_replaced_while_it_plays_is_noticed(tmp_path: Path) -> None:
    write_file(tmp_path / "file.gscz", 40 * GOP)

    async def work() -> None:
        async with FaultyServer(tmp_path) as server, await open_stream(f"{server.url}file.gscz", HASTY) as stream:
            playing = stream.frames()
            first = await anext(playing)
            write_file(tmp_path / "other.gscz", 41 * GOP)
            (tmp_path / "other.gscz").replace(tmp_path / "file.gscz")
            with pytest.raises(UnreadableError, match="has changed on the server"):
                held([first, *[frame async for frame in playing]], 40 * GOP)

    within(10, work)
