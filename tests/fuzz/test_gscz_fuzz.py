"""Damaged .gscz files: a scene or UnreadableError, fast, in little memory, checksums valid or not."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import pytest
from guard import limits
from mutate import mutations
from specimens import blob

from gscompress import api
from gscompress.codecs.presets import PRESETS
from gscompress.container.chunk import Chunk
from gscompress.container.reader import Reader
from gscompress.container.writer import write
from gscompress.errors import UnreadableError

CHEAP = [name for name in PRESETS if not PRESETS.get(name).needs]
COUNT = 2000


def survives(data: bytes) -> bool:
    with limits(), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # forged floats may overflow; that is for renderers to skip
        try:
            api.decompress(data)
        except UnreadableError:
            return False
    return True


@pytest.mark.parametrize("preset", CHEAP)
def test_damaged_files_are_refused_or_decode(preset: str) -> None:
    data = api.compress(blob(60, 1), preset)
    assert survives(data)
    outcomes = [survives(damaged) for damaged in mutations(data, COUNT, seed=1)]
    assert outcomes.count(False) > COUNT // 2


@pytest.mark.parametrize("preset", CHEAP)
def test_damage_behind_valid_checksums_is_refused_or_decodes(preset: str) -> None:
    """What a hostile encoder would write: every stream mutated, and the container built anew around it."""
    data = api.compress(blob(60, 1), preset)
    reader = Reader(data)
    chunks = list(reader.chunks(PRESETS.get(preset).codec.kinds))
    for number, chunk in enumerate(chunks):
        for name, stream in chunk.streams.items():
            for damaged in mutations(stream, 60, seed=2):
                forged = Chunk(chunk.kind, chunk.level, {**chunk.streams, name: damaged})
                out = io.BytesIO()
                write(out, reader.header, [*chunks[:number], forged, *chunks[number + 1 :]])
                survives(out.getvalue())


@pytest.mark.parametrize("preset", CHEAP)
def test_chunks_and_streams_may_be_missing_doubled_or_swapped(preset: str) -> None:
    reader = Reader(api.compress(blob(60, 1), preset))
    chunks = list(reader.chunks(PRESETS.get(preset).codec.kinds))
    orders = [chunks[1:], chunks[::-1], chunks * 2, chunks[:1] * 2]
    for number, chunk in enumerate(chunks):
        for name in chunk.streams:
            rest = {other: data for other, data in chunk.streams.items() if other != name}
            orders.append([*chunks[:number], Chunk(chunk.kind, chunk.level, rest), *chunks[number + 1 :]])
    for order in orders:
        out = io.BytesIO()
        write(out, reader.header, order)
        survives(out.getvalue())


def test_headers_that_lie_are_refused(tmp_path: Path) -> None:
    reader = Reader(api.compress(blob(5), CHEAP[0]))
    chunks = list(reader.chunks(PRESETS.get(CHEAP[0]).codec.kinds))
    lies = [
        {"codec": {"name": "nosuch", "version": 1, "config": {}}},
        {"codec": {"name": "lossless", "version": 99, "config": {}}},
        {"codec": {"name": "lossless", "version": 1, "config": {"nosuch": 1}}},
        {"codec": {"name": ["lossless"], "version": 1, "config": {}}},
        {"codec": "lossless"},
        {"scene": {}},
        {"scene": {**reader.header["scene"], "frame": "XYZ"}},
        {"scene": {**reader.header["scene"], "frame": 7}},
        {"scene": {**reader.header["scene"], "model": "4dgs"}},
        {"scene": {**reader.header["scene"], "gaussians": -1}},
        {"scene": {**reader.header["scene"], "gaussians": "many"}},
        {"scene": {**reader.header["scene"], "meta": []}},
    ]
    for lie in lies:
        out = io.BytesIO()
        write(out, {**reader.header, **lie}, chunks)
        assert not survives(out.getvalue()), lie
