"""GOPs: bytes that decode on their own, in which no damage goes unnoticed; and files of them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_scenes import shell, turned

from gscompress.cli.main import run
from gscompress.context import Context
from gscompress.errors import UnreadableError, UsageError
from gscompress.frame import RUB
from gscompress.scene import Scene
from gscompress.stream.file import StreamFile, write_stream
from gscompress.stream.frames import GopDecoder, encode_gops, header_for
from gscompress.stream.ours import StreamCodec

CODEC = StreamCodec(quality=40)
SCENES = [turned(shell(400), 0.02 * t) for t in range(7)]
GOPS = list(encode_gops(SCENES, CODEC, Context(), gop=3))
HEADER = header_for(SCENES[0], CODEC, fps=30, gop=3, frames=7)


def same(a: Scene, b: Scene) -> bool:
    return all(np.array_equal(getattr(a.splats, n), getattr(b.splats, n)) for n in ("means", "quats", "sh"))


def test_every_group_decodes_alone_to_its_own_frames() -> None:
    assert [(g.index, g.first_frame, g.frames) for g in GOPS] == [(0, 0, 3), (1, 3, 3), (2, 6, 1)]
    for gop in reversed(GOPS):
        assert gop.facts["gaussians"] == 400
        assert sum(gop.frame_sizes) == len(gop.data)
        assert [n for n, _ in GopDecoder(HEADER).frames(gop.data)] == list(
            range(gop.first_frame, gop.first_frame + gop.frames)
        )


def test_seeking_gives_the_frame_that_playing_gives() -> None:
    played = dict(GopDecoder(HEADER).frames(GOPS[1].data))
    for number in (3, 4, 5):
        found = list(GopDecoder(HEADER).frames(GOPS[1].data, number))
        assert [n for n, _ in found] == list(range(number, 6))
        assert same(found[0][1], played[number])


def test_a_prefix_of_whole_frames_plays_and_a_cut_one_plays_up_to_the_cut() -> None:
    first, second = GOPS[0].frame_sizes[:2]
    assert len(list(GopDecoder(HEADER).frames(GOPS[0].data[: first + second]))) == 2
    seen = []
    with pytest.raises(UnreadableError):
        seen.extend(GopDecoder(HEADER).frames(GOPS[0].data[: first + second - 1]))
    frames = GopDecoder(HEADER).frames(GOPS[0].data[: first + second - 1])
    assert next(frames)[0] == 0


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_flipped_bit_goes_unnoticed(data: st.DataObject) -> None:
    gop = GOPS[0]
    at = data.draw(st.integers(0, len(gop.data) - 1))
    broken = bytearray(gop.data)
    broken[at] ^= 1 << data.draw(st.integers(0, 7))
    hit = int(np.searchsorted(np.cumsum(gop.frame_sizes), at, side="right"))
    frames: Iterator[tuple[int, Scene]] = GopDecoder(HEADER).frames(bytes(broken))
    for expected in range(hit):
        assert next(frames)[0] == expected
    with pytest.raises(UnreadableError):
        next(frames)


def test_frames_of_other_places_are_not_taken_for_the_next() -> None:
    sizes = np.cumsum(GOPS[0].frame_sizes)
    key, one, two = (GOPS[0].data[a:b] for a, b in zip([0, *sizes], sizes))
    for data in (key + two, one, key + one + one, key + GOPS[1].data, key + key):
        with pytest.raises(UnreadableError, match="another should be"):
            list(GopDecoder(HEADER).frames(data))


@pytest.mark.parametrize("where", ["scene", "codec", "stream"])
@pytest.mark.parametrize("value", [None, 3, [], {}, "x"])
def test_a_header_of_other_things_is_one_line(where: str, value: Any) -> None:
    with pytest.raises(UnreadableError):
        GopDecoder(HEADER | {where: value})


def test_a_later_codec_is_refused() -> None:
    for change in ({"name": "later"}, {"version": 99}, {"config": {"unknown": 1}}):
        with pytest.raises(UnreadableError):
            GopDecoder(HEADER | {"codec": HEADER["codec"] | change})


def test_frames_in_other_axes_are_turned_into_those_of_the_first() -> None:
    scenes = [SCENES[0], SCENES[1].in_frame(RUB)]
    (gop,) = encode_gops(scenes, CODEC, Context(), gop=5)
    assert gop.frame_sizes[1] < gop.frame_sizes[0] / 4
    assert all(scene.frame == SCENES[0].frame for _, scene in GopDecoder(HEADER).frames(gop.data))


def test_a_file_holds_the_groups_and_tells_where(tmp_path: Path) -> None:
    path = tmp_path / "a.gscz"
    with path.open("wb") as out:
        size = write_stream(out, HEADER, GOPS)
    stream = StreamFile(path)
    assert (stream.size, stream.frames, stream.truncated) == (size, 7, False)
    assert [stream.data(place) for place in stream.gops] == [gop.data for gop in GOPS]
    assert stream.gop_of(5).index == 1
    with pytest.raises(UnreadableError, match="0 to 6"):
        stream.gop_of(7)
    path.write_bytes(path.read_bytes()[: stream.gops[1].offset + stream.gops[1].frame_sizes[0] + 5])
    cut = StreamFile(path)
    assert (cut.frames, cut.truncated) == (4, True)


def test_a_file_is_written_without_seeking() -> None:
    class Pipe(io.BytesIO):
        def seek(self, *_: Any) -> int:
            raise io.UnsupportedOperation("a pipe")

    assert write_stream(Pipe(), HEADER, GOPS) > 0


def test_gops_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError):
        list(encode_gops(SCENES, CODEC, Context(), gop=0))


def test_the_verbs_encode_info_and_decode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gscompress import formats

    frames, stream, back = tmp_path / "frames", tmp_path / "s.gscz", tmp_path / "back"
    frames.mkdir()
    for number in range(3):
        formats.write(SCENES[number], frames / f"{number}.ply")
    assert run(["stream", "encode", str(frames), str(stream), "--gop", "2", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["frames"] == 3
    assert made["output_bytes"] == stream.stat().st_size
    assert run(["stream", "info", str(stream), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gops"] == 2
    assert run(["stream", "decode", str(stream), str(back), "--format", "spz"]) == 0
    assert sorted(p.name for p in back.iterdir()) == [f"frame_{n:04d}.spz" for n in range(3)]
    assert run(["stream", "decode", str(stream), str(tmp_path / "one.ply"), "--frame", "2"]) == 0
    assert len(formats.read(tmp_path / "one.ply")) == 400
    assert run(["stream", "decode", str(stream), str(tmp_path / "two.ply"), "--frame", "3"]) == 3
    assert run(["stream", "encode", str(frames), str(stream)]) == 2
    assert "--force" in capsys.readouterr().err
