"""Laws of ``viewer.levels``: what each level of a file shows and costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from specimens import FRUIT, blob, rows

from gscompress import api, formats
from gscompress.codecs import gscz
from gscompress.container.reader import Reader
from gscompress.errors import UnreadableError
from gscompress.events import EventLog
from gscompress.frame import RDF
from gscompress.viewer.levels import Levels, open_levels
from gscompress.viewer.splats import browser_splats
from gscompress.viewer.world import World


@pytest.fixture(scope="module", params=["lossless", "fast"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("levels") / "blob.gscz"
    api.compress_to_file(blob(300), path, request.param)
    return path


def test_each_level_is_what_the_decoder_gives_for_it(stored: Path) -> None:
    levels = open_levels(stored, EventLog())
    assert levels.finest > 0
    for level in (levels.finest, 0, 1):
        expected = gscz.decode_last(Reader.open(stored), EventLog(), level)
        assert np.array_equal(rows(levels.scene(level)), rows(expected))
    assert not np.array_equal(levels.scene(0).splats.sh, levels.scene(levels.finest).splats.sh)


def test_a_level_costs_the_shortest_prefix_of_the_file_that_shows_it(stored: Path) -> None:
    levels, data = open_levels(stored, EventLog()), stored.read_bytes()
    assert list(levels.sizes) == sorted(set(levels.sizes))
    assert levels.sizes[-1] == len(data)
    for level in range(levels.finest):
        cut = gscz.decode_last(Reader(data[: levels.sizes[level]]), EventLog())
        assert np.array_equal(rows(cut), rows(levels.scene(level)))
    with pytest.raises(UnreadableError):
        Reader(data[: levels.sizes[0] - 1]).usable()


def test_levels_beyond_the_memory_budget_are_decoded_again() -> None:
    scenes, starts = [blob(50, degree, seed=degree) for degree in range(3)], []

    def decode() -> object:
        starts.append(1)
        return iter(scenes)

    for keep, decodes in ((1, 4), (1 << 30, 1)):
        starts.clear()
        levels = Levels("three", (1, 2, 3), 50, decode, keep)  # type: ignore[arg-type]
        assert [len(levels.scene(k).splats.sh[0]) for k in (2, 2, 0, 1, 2)] == [9, 9, 1, 4, 9]
        assert len(starts) == decodes


def test_a_format_without_levels_has_one_in_the_viewers_axes(tmp_path: Path) -> None:
    levels = open_levels(FRUIT, EventLog())
    assert (levels.finest, levels.sizes, levels.name) == (0, (FRUIT.stat().st_size,), FRUIT.name)
    formats.write(formats.read(FRUIT), tmp_path / "fruit.spz")
    turned = open_levels(tmp_path / "fruit.spz", EventLog())
    assert turned.scene(0).frame == levels.scene(0).frame == RDF
    spread = np.ptp(levels.scene(0).splats.means)
    assert np.allclose(turned.scene(0).splats.means.mean(0), levels.scene(0).splats.means.mean(0), atol=0.01 * spread)


def test_what_cannot_be_decoded_names_the_file(stored: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.gscz"
    short.write_bytes(stored.read_bytes()[:300])
    with pytest.raises(UnreadableError, match=r"short\.gscz"):
        open_levels(short, EventLog())
    promised = Levels("few", (1, 2), 5, lambda: iter([blob(5)]))
    with pytest.raises(UnreadableError, match="level 1 is missing"):
        promised.scene(1)


@pytest.mark.parametrize("name", ["fruit.ply", "fruit.compressed.ply", "fruit.splat", "fruit.level1.ksplat"])
def test_every_format_can_be_looked_at(name: str) -> None:
    levels = open_levels(FRUIT.parent / name, EventLog())
    scene = levels.scene(levels.finest)
    sent = browser_splats(scene, World.around(scene))
    assert len(scene) == levels.gaussians > 20
    assert 0 < len(sent.centers) <= len(scene)
