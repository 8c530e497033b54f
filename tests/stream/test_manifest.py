"""Manifests, good and hostile; bandwidth, and the choice that follows from it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.errors import UnreadableError
from gscompress.stream import manifest as manifests
from gscompress.stream.manifest import Group, Manifest, Rendition, Segment
from gscompress.stream.throughput import Throughput, choose

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
