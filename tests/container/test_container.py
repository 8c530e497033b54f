"""The laws of SPEC.md, on chunks that no codec made."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.container import layout
from gscompress.container.chunk import Chunk, pack_streams, unpack_streams
from gscompress.container.reader import CONTAINER, Reader, ledger
from gscompress.container.writer import write
from gscompress.errors import ChecksumError, UnreadableError, UsageError

KINDS = {"BASE", "FINE"}
HEADER = {"writer": "test", "scene": {"gaussians": 3}}
CHUNKS = [
    Chunk("BASE", 0, {"means": b"abc", "scales": b""}),
    Chunk("BASE", 0, {"sh0": b"0123456789"}),
    Chunk("note", 0, {"text": b"skip me"}),
    Chunk("FINE", 1, {"sh1": b"x" * 100}),
    Chunk("FINE", 2, {"sh2": b"y"}),
]


def stored(chunks: list[Chunk] = CHUNKS, header: dict[str, object] = HEADER) -> bytes:
    stream = io.BytesIO()
    assert write(stream, header, chunks) == len(stream.getvalue())
    return stream.getvalue()


def patched(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


streams = st.dictionaries(st.text("abcdefgh_0123", min_size=1, max_size=9), st.binary(max_size=50), max_size=4)
chunk_lists = st.lists(
    st.builds(Chunk, st.sampled_from(["BASE", "FINE"]), st.integers(0, 255), streams), min_size=1, max_size=6
)


@settings(max_examples=50, deadline=None)
@given(chunk_lists)
def test_what_is_written_is_read(chunks: list[Chunk]) -> None:
    reader = Reader(stored(chunks))
    reader.check()
    assert list(reader.chunks(KINDS)) == chunks
    assert reader.header == HEADER
    assert reader.version == (1, 0)
    assert stored(chunks) == stored(chunks)


def test_the_last_chunk_of_each_level_is_marked_complete() -> None:
    marks = [p.complete for p in Reader(stored()).placed if p.kind not in layout.STRUCTURAL]
    assert marks == [False, False, True, True, True]


def test_writing_streams_chunk_by_chunk() -> None:
    written: list[int] = []
    stream = io.BytesIO()

    def chunks() -> Iterator[Chunk]:
        for number in range(5):
            written.append(stream.tell())
            yield Chunk("BASE", number, {"data": bytes(1000)})

    write(stream, HEADER, chunks())
    # One chunk is held back, so that its COMPLETE flag can be set.
    assert written[3] > 2000


@settings(max_examples=30, deadline=None)
@given(streams)
def test_stream_tables_come_back_and_every_cut_is_noticed(table: dict[str, bytes]) -> None:
    packed = pack_streams(table)
    assert unpack_streams(packed) == table
    for length in range(len(packed)):
        with pytest.raises(UnreadableError):
            unpack_streams(packed[:length])


def test_a_cut_at_any_length_leaves_complete_levels_or_is_refused() -> None:
    data = stored()
    whole = Reader(data)
    ends = [p.payload.stop for p in whole.placed if p.complete]
    for length in range(len(data)):
        try:
            reader = Reader(data[:length])
            found = list(reader.chunks(KINDS))
        except UnreadableError:
            assert length < ends[0]
            continue
        assert reader.truncated
        assert len(found) == {1: 2, 2: 3, 3: 4}[sum(end <= length for end in ends)]
        with pytest.raises(UnreadableError):
            reader.check()


def test_every_flipped_bit_is_noticed() -> None:
    data = stored()
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        if place // 64 == 1 and place // 16 == 5:  # the minor version: readers accept any
            continue
        with pytest.raises(UnreadableError):
            Reader(bytes(damaged)).check()


def test_damage_in_a_chunk_is_a_checksum_error_when_the_chunk_is_used() -> None:
    data = stored()
    last = Reader(data).placed[5]
    reader = Reader(patched(data, last.payload.start + 12, b"\xff"))
    assert len(list(reader.chunks(KINDS, max_level=1))) == 3
    with pytest.raises(ChecksumError, match=f"chunk FINE at byte {last.offset}"):
        list(reader.chunks(KINDS))


def test_a_greater_major_version_is_refused_and_a_greater_minor_one_read() -> None:
    data = stored()
    with pytest.raises(UnreadableError, match=r"format version 2\.0"):
        Reader(patched(data, 8, struct.pack("<H", 2)))
    assert Reader(patched(data, 10, struct.pack("<H", 7))).version == (1, 7)


def test_unknown_critical_chunks_are_refused_and_unknown_ancillary_ones_skipped() -> None:
    assert "note" not in [chunk.kind for chunk in Reader(stored()).chunks(KINDS)]
    with pytest.raises(UnreadableError, match="'NEWS'"):
        list(Reader(stored([*CHUNKS, Chunk("NEWS", 3, {})])).chunks(KINDS))


def test_a_chunk_that_claims_too_much_is_damage_not_truncation() -> None:
    data = stored()
    second = Reader(data).placed[2].offset
    for length in (2**63, 2**32, len(data)):
        with pytest.raises(UnreadableError, match="claims more bytes"):
            Reader(patched(data, second + 6, struct.pack("<Q", length)))


def test_the_index_and_end_marker_serve_range_requests() -> None:
    data = stored()
    end = layout.CHUNK.unpack_from(data, len(data) - layout.END_SIZE)
    assert end[0] == b"FEND"
    (index_at,) = layout.END_PAYLOAD.unpack(data[-8:])
    kind, _, _, length, _ = layout.CHUNK.unpack_from(data, index_at)
    assert kind == b"INDX"
    table = data[index_at + layout.CHUNK.size :][:length]
    found = list(layout.INDEX_ROW.iter_unpack(table))
    assert [row[0] for row in found] == [b"HEAD", b"BASE", b"BASE", b"note", b"FINE", b"FINE"]
    for kind, flags, level, offset, size in found:
        assert layout.CHUNK.unpack_from(data, offset)[:4] == (kind, flags, level, size)


def test_bytes_after_the_end_are_ignored_by_readers_and_reported_by_check() -> None:
    reader = Reader(stored() + b"tail")
    assert len(list(reader.chunks(KINDS))) == 4
    with pytest.raises(UnreadableError, match="4 bytes follow"):
        reader.check()


def test_the_ledger_adds_up_to_the_file() -> None:
    data = stored()
    spent = ledger(Reader(data), 3)
    assert spent.total == len(data)
    assert spent.by_attribute().keys() == {"means", "scales", "sh0", "note", "sh1", "sh2", CONTAINER}
    assert spent.by_level()[2] == 1
    assert spent.to_json()["bytes_per_attribute"]["sh1"] == 100


@pytest.mark.parametrize("header", [b"[1]", b"{", b"\xff", b"[" * 100_000], ids=["list", "cut", "binary", "deep"])
def test_a_header_that_is_no_object_is_refused(header: bytes) -> None:
    crc = layout.checksum(b"HEAD", 0, 0, header)
    data = layout.PREAMBLE.pack(layout.MAGIC, 1, 0) + layout.CHUNK.pack(b"HEAD", 0, 0, len(header), crc) + header
    with pytest.raises(UnreadableError, match="header is not"):
        Reader(data)


def test_a_header_that_cannot_be_stored_is_a_usage_error() -> None:
    for header in ({"nan": float("nan")}, {"object": object()}, {"long": "x" * layout.MAX_HEADER}):
        with pytest.raises(UsageError):
            write(io.BytesIO(), header, CHUNKS)


def test_files_that_are_not_gscz_are_refused(tmp_path: Path) -> None:
    for name, content in {
        "empty": b"",
        "png": b"\x89PNG\r\n\x1a\n" + bytes(50),
        "ply": b"ply\n",
        "short": b"\x89GS",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableError):
            Reader.open(tmp_path / name)
    with pytest.raises(UnreadableError):
        Reader.open(tmp_path)
    with pytest.raises(UnreadableError):
        Reader.open(tmp_path / "missing")


def test_the_specification_names_every_constant() -> None:
    text = Path(layout.__file__).with_name("SPEC.md").read_text("utf-8")
    assert layout.MAGIC.hex(" ").upper() in text
    assert all(f"### {kind}" in text for kind in layout.STRUCTURAL)
    assert f"last {layout.END_SIZE} bytes" in text
    example = text[text.index("```json") + 7 :]
    assert json.loads(example[: example.index("```")])["scene"]["frame"] == "RDF"
