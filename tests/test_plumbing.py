"""Configs, registries, atomic outputs, events and the ledger."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gscompress.atomic import staged
from gscompress.camera import Camera
from gscompress.config import from_config, parse_spec, to_config
from gscompress.context import Context
from gscompress.errors import (
    ChecksumError,
    GscompressError,
    MissingExtraError,
    OutputExistsError,
    UnreadableError,
    UsageError,
)
from gscompress.events import Event, EventLog, Message, PhaseEnd, PhaseStart, Tick
from gscompress.ledger import Entry, Ledger
from gscompress.registry import Registry


@dataclass(frozen=True)
class Options:
    ratio: float = 0.5
    count: int = 3
    mode: Literal["soft", "hard"] = "soft"
    keep: bool = False
    limit: float | None = None
    corner: tuple[float, ...] = ()
    name: str = ""


configs = st.builds(
    Options,
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    count=st.integers(),
    mode=st.sampled_from(["soft", "hard"]),
    keep=st.booleans(),
    limit=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    corner=st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(tuple),
    name=st.text(),
)


@given(configs)
def test_a_config_is_its_object(options: Options) -> None:
    assert from_config(Options, to_config(options)) == options


def test_options_come_from_the_command_line_as_text() -> None:
    name, texts = parse_spec("prune:ratio=30%,count=7,mode=hard,keep=yes,limit=none,corner=1+-2.5")
    assert name == "prune"
    assert from_config(Options, texts) == Options(0.3, 7, "hard", True, None, (1.0, -2.5))


@pytest.mark.parametrize(
    "config",
    [{"nosuch": 1}, {"ratio": "x"}, {"count": "1.5"}, {"mode": "loud"}, {"keep": "maybe"}, {"corner": 5}, {"name": 5}]
    + [{"ratio": None}, {"keep": 1.5}, {"ratio": True}, {"count": [1]}],
    ids=str,
)
def test_options_of_the_wrong_kind_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        from_config(Options, config)


def test_a_registry_loads_lazily_and_names_the_choices() -> None:
    registry: Registry[Any] = Registry("thing", {"path": "pathlib:Path", "broken": "no.such.module:x"})
    assert "broken" in list(registry)
    assert registry.get("path") is Path
    registry.register("mine", 7)
    assert registry.get("mine") == 7
    with pytest.raises(UsageError, match="choose from broken, mine, path"):
        registry.get("nosuch")


def test_exit_codes_follow_the_tree() -> None:
    assert [e.exit_code for e in (GscompressError, UsageError, OutputExistsError)] == [1, 2, 2]
    assert [e.exit_code for e in (UnreadableError, ChecksumError, MissingExtraError)] == [3, 3, 4]


def test_an_output_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    with staged(target) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failing_block_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")

    def fail_half_way() -> None:
        with staged(target, force=True) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_output_that_is_there_needs_force(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with pytest.raises(OutputExistsError), staged(target):
        pass
    with staged(target, force=True) as temporary:
        temporary.write_bytes(b"new")
    assert target.read_bytes() == b"new"
    with pytest.raises(UsageError), staged(tmp_path / "missing" / "out.bin"):
        pass


def test_folders_are_staged_too_and_a_file_never_replaces_one(tmp_path: Path) -> None:
    target = tmp_path / "scene"
    for content in ("1", "2"):
        with staged(target, force=True) as temporary:
            temporary.mkdir()
            (temporary / content).touch()
        assert [path.name for path in target.iterdir()] == [content]
    with pytest.raises(UsageError, match="is a folder"), staged(target, force=True) as temporary:
        temporary.write_bytes(b"")
    assert target.is_dir()


def test_events_arrive_in_order_and_warnings_once() -> None:
    seen: list[Event] = []
    log = EventLog(seen.append)
    with log.phase("work", 3) as tick:
        tick(2)
        tick(1)
        log.warn("odd")
        log.warn("odd")
        log.info("by the way")
    work = [PhaseStart("work", 3), Tick(2), Tick(1), Message("warning", "odd"), Message("info", "by the way")]
    assert seen == [*work, PhaseEnd("work")]
    assert log.warnings == ["odd"]


def test_a_phase_ends_when_its_block_fails() -> None:
    seen: list[Event] = []
    with pytest.raises(RuntimeError), EventLog(seen.append).phase("work"):
        raise RuntimeError
    assert seen[-1] == PhaseEnd("work")


def test_the_ledger_sums_both_ways() -> None:
    ledger = Ledger((Entry("means", 0, 10), Entry("sh", 1, 20), Entry("sh", 2, 30)), 8)
    assert ledger.total == 60
    assert ledger.by_attribute() == {"means": 10, "sh": 50}
    assert ledger.by_level() == {0: 10, 1: 20, 2: 30}
    assert ledger.bits_per_gaussian(ledger.total) == 60
    assert Ledger((), 0).to_json()["bits_per_gaussian"] == 0


def test_a_context_without_a_renderer_says_who_wants_one() -> None:
    with pytest.raises(UsageError, match="pruning"):
        Context().need_renderer("pruning")


def test_views_come_in_order_whoever_is_done_first() -> None:
    late = threading.Event()

    def work(k: int, camera: Camera) -> tuple[int, str]:
        if k == 0:
            assert late.wait(10)
        if k == 1:
            late.set()
        return k, camera.name

    cameras = [Camera(8, 6, 8, 8, 4, 3, np.eye(4), f"view-{k}") for k in range(5)]
    events: list[Event] = []
    ctx = Context(log=EventLog(events.append), cameras=cameras)
    assert list(ctx.each_view("looking", work)) == [(k, f"view-{k}") for k in range(5)]
    assert events[-1] == PhaseEnd("looking")
    with pytest.raises(ZeroDivisionError):
        list(ctx.each_view("looking", lambda k, camera: 1 // (k - 3)))
