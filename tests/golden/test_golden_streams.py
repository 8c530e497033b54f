"""Streams written by earlier versions decode to what they decoded to then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gscompress.stream import STREAM_CODECS
from gscompress.stream.file import StreamFile
from gscompress.stream.frames import GopDecoder

FOLDER = Path(__file__).parent / "streams"
FILES = sorted(FOLDER.glob("*.gscz"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_stream_decodes_as_it_did(path: Path) -> None:
    stream = StreamFile(path)
    frames = [s for place in stream.gops for _, s in GopDecoder(stream.header).frames(stream.data(place))]
    with np.load(path.with_suffix(".npz")) as expected:
        assert len(expected) == 5 * len(frames)
        for name, values in expected.items():
            found = getattr(frames[int(name[-1])].splats, name[:-1])[::8]
            np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-6, err_msg=name)


def test_every_version_of_a_stream_codec_has_a_golden_stream() -> None:
    there = {path.stem for path in FILES}
    ours = [codec for codec in map(STREAM_CODECS.get, STREAM_CODECS) if codec.__module__.startswith("gscompress.")]
    assert len(ours) >= 3
    assert {f"{codec.name}-v{codec.version}" for codec in ours} <= there
