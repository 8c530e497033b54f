"""Bitstreams are forever: files written by earlier versions decode to what they decoded to then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from specimens import FRUIT, rows

from gscompress import formats
from gscompress.codecs import CODECS
from gscompress.codecs.presets import PRESETS

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.gscz"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_file_decodes_as_it_did(path: Path) -> None:
    splats = formats.read(path).splats
    with np.load(path.with_suffix(".npz")) as expected:
        for name, values in expected.items():
            # Symbols are exact everywhere; exp and cos of another numpy may differ in the last bits of a float.
            np.testing.assert_allclose(getattr(splats, name), values, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("path", [p for p in FILES if "lossless" in p.stem], ids=lambda path: path.stem)
def test_a_lossless_golden_file_is_the_original(path: Path) -> None:
    assert (rows(formats.read(path)) == rows(formats.read(FRUIT))).all()


@pytest.mark.skipif(not FILES, reason="no codec has been frozen yet")
def test_every_frozen_version_of_a_codec_has_a_golden_file() -> None:
    there = {path.stem for path in FILES}
    for preset in PRESETS:
        codec = PRESETS.get(preset).codec
        if "photos" not in codec.needs:
            assert f"{preset}-{codec.name}-v{CODECS.get(codec.name).version}" in there
