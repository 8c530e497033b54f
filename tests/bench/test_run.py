"""Cells: run once, fail alone, end with their processes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from specimens import FRUIT

from gscompress.bench import machine, process, tables
from gscompress.bench.plan import CodecSpec, Rules, SceneSpec
from gscompress.bench.results import SceneResults, behind, collect, deltas, equals, margins, read_quoted
from gscompress.bench.run import run
from gscompress.errors import GscompressError, UnreadableError, UsageError
from gscompress.events import EventLog

SCENE = SceneSpec("fruit", FRUIT, note="A note.")
COUNTS = {"bytes": 5000, "gaussians": 200, "sh_degree": 3, "views": 2, "picture_size": [64, 48], "warnings": []}
FACTS = {**COUNTS, "source_sha256": "scene one", "views_digest": "views"}
LATE = {"error": "encode was not done after 900 s", "timed_out": True}
COST = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_mb": 10.0, "warnings": []}
ABOUT = {"machine": {}, "rules": Rules().to_json()}


class Workers:
    """Stands in for processes: notes the jobs, answers at once. SPZ fails at 4/3, lossless loses nothing."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.source = "scene one"

    def __call__(self, task: str, job: Mapping[str, Any], folder: Path, timeout: float, threads: Any = None) -> Any:
        self.jobs.append(" ".join(filter(None, (task, job.get("codec"), json.dumps(job.get("options", ""))))))
        if task == "prepare":
            return {**FACTS, "source_sha256": self.source}
        if task == "encode":
            if job["options"].get("sh_bits") == [4, 3]:
                return {"error": "no such luck", "warnings": []}
            bits = job["options"].get("sh_bits", [9])[0]
            return {**COST, "seconds": float(len(self.jobs)), "bytes": 1000 * bits, "sha256": f"{bits}"}
        exact = job["codec"] == "lossless"
        worst = {"index": 0, "view": "a", "psnr": None if exact else 30.0}
        psnr = None if exact else 30.0 + len(json.dumps(job["stored"])) % 2 + int(folder.name[0] == "8") * 5
        return {**COST, "gaussians": 200, "psnr": psnr, "identical": exact, "ssim": 0.9, "worst": worst, "fps": 5.0}


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    stand_in = Workers()
    monkeypatch.setattr(process, "work", stand_in)
    return stand_in


def test_finished_cells_are_not_run_again_and_failed_ones_are(workers: Workers, tmp_path: Path) -> None:
    codecs = [CodecSpec("spz", ("4/3", "5/4")), CodecSpec("lossless")]
    run(tmp_path, [SCENE], codecs, Rules())
    assert len(workers.jobs) == 1 + 1 + 2 + 2  # prepare, the one that fails, two that do not
    workers.jobs.clear()
    run(tmp_path, [SCENE], codecs, Rules())
    assert workers.jobs == ['encode spz {"sh_bits": [4, 3]}']
    (scene,) = collect(tmp_path, ["fruit"])
    assert [cell["point"] for cell in scene.cells] == ["exact", "5/4"]
    assert [(cell["point"], cell["error"]) for cell in scene.failed] == [("4/3", "no such luck")]
    assert scene.facts["note"] == "A note."


def test_force_other_rules_and_another_scene_run_cells_again(workers: Workers, tmp_path: Path) -> None:
    codecs = [CodecSpec("splat")]
    run(tmp_path, [SCENE], codecs, Rules())
    for change, jobs in (({"force": True}, 2), ({}, 0)):
        workers.jobs.clear()
        run(tmp_path, [SCENE], codecs, Rules(), **change)  # type: ignore[arg-type]
        assert len(workers.jobs) == jobs
    workers.jobs.clear()
    workers.source = "scene two"
    run(tmp_path, [SCENE], codecs, Rules(views=7))
    assert [job.split()[0] for job in workers.jobs] == ["prepare", "encode", "decode"]


def test_cells_of_an_earlier_scene_are_left_out_with_a_warning(workers: Workers, tmp_path: Path) -> None:
    run(tmp_path, [SCENE], [CodecSpec("splat"), CodecSpec("compressed_ply")], Rules())
    workers.source = "scene two"
    run(tmp_path, [SCENE], [CodecSpec("splat")], Rules(views=7))
    log = EventLog()
    (scene,) = collect(tmp_path, ["fruit"], log=log)
    assert [cell["codec"] for cell in scene.cells] == ["splat"]
    assert "1 cells of an earlier scene" in log.warnings[0]


def test_times_are_medians_over_repeats(workers: Workers, tmp_path: Path) -> None:
    run(tmp_path, [SCENE], [CodecSpec("splat")], Rules(repeat=3))
    cell = json.loads((tmp_path / "cells" / "fruit" / "splat" / "raw" / "cell.json").read_text())
    assert cell["encode"]["runs"] == [2.0, 4.0, 6.0]
    assert cell["encode"]["seconds"] == 4.0
    assert cell["repeatable"]


def test_jobs_run_side_by_side_with_the_same_outcome(workers: Workers, tmp_path: Path) -> None:
    run(tmp_path, [SCENE], [CodecSpec("spz")], Rules(), jobs=3)
    (scene,) = collect(tmp_path, ["fruit"])
    assert (len(scene.cells), len(scene.failed)) == (5, 1)
    with pytest.raises(UsageError):
        run(tmp_path, [SCENE], [], Rules(), jobs=0)


def test_no_more_jobs_than_memory_holds(workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_memory", lambda what="MemTotal": 900)
    assert machine.jobs_that_fit(3, 5000) == 2
    assert machine.jobs_that_fit(3, 10**9) == 1
    log = EventLog()
    run(tmp_path, [SCENE], [CodecSpec("splat")], Rules(), jobs=3, log=log)
    assert "memory is short: 2 jobs at a time" in log.warnings


def test_tables_have_the_layout_of_the_survey(workers: Workers, tmp_path: Path) -> None:
    run(tmp_path, [SCENE], [CodecSpec("spz", ("5/4", "8/8")), CodecSpec("lossless")], Rules())
    quoted = tmp_path / "quoted.json"
    entry = {"title": "Other", "bytes": 7000, "psnr": 31.5, "source": "a paper"}
    quoted.write_text(json.dumps({"fruit": [entry]}))
    found = collect(tmp_path, ["fruit"], quoted)
    written = tables.write_all(tmp_path, "set", found, "spz", ABOUT)
    assert all(path.is_file() for path in written)
    rows = (tmp_path / "results" / "set" / "fruit.csv").read_text().splitlines()
    assert rows[0].startswith("Submethod,PSNR,SSIM,LPIPS,Size [Bytes],#Gaussians,")
    assert rows[1].startswith("gscompress lossless exact,inf,0.9,,9000,200,inf,a,")
    assert [row.split(",")[0] for row in rows[2:]] == ["SPZ v4 5/4", "SPZ v4 8/8", "Other (quoted)"]
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["anchor"] == "spz"
    assert len(stored["cells"]) == 4
    assert "| Other (quoted) |  | 7,000 | 35.00 | 0.7x | 31.50 |" in (tmp_path / "results.md").read_text()
    assert list(deltas(found, "spz")) == []  # one curve has no other to be compared with
    assert list(equals(found)) == []


def test_a_peer_with_one_point_is_compared_at_that_point(tmp_path: Path) -> None:
    facts = {"name": "s", "gaussians": 9, "sh_degree": 0}
    cells = [
        {"codec": codec, "bytes": size, "psnr": psnr, "identical": False}
        for codec, size, psnr in (("default", 100, 30), ("default", 400, 40), ("sog", 400, 35), ("spz", 900, 70))
    ]
    (only,) = margins([SceneResults(facts, cells, [])], "default", ("spz", "sog"))
    assert (only.anchor, only.points) == ("sog", 1)
    assert only.percent == pytest.approx(-50)  # halfway between 100 and 400 bytes in the log domain is 200
    cells += [{"codec": "sog", "bytes": 800, "psnr": 40, "identical": False}]
    cells += [{"codec": "sog", "bytes": 200, "psnr": 30, "identical": False}]
    (curve,) = margins([SceneResults(facts, cells, [])], "default", ("sog",))
    assert (curve.points, curve.percent) == (None, pytest.approx(-50))


def test_points_above_our_curve_are_found(tmp_path: Path) -> None:
    points = (("default", 100, 30.0, True), ("default", 400, 40.0, True), ("lossless", 900, 90.0, True))
    others = {"below": (200, 34.0), "above": (200, 36.0), "beyond": (600, 39.0), "top": (600, 41.0), "tiny": (50, 9.0)}
    exact = {"exact": (1000, 99.0), "small exact": (800, 99.0)}
    cells = [{"codec": c, "bytes": b, "psnr": p, "ours": o, "identical": False} for c, b, p, o in points]
    for name, (size, psnr) in {**others, **exact}.items():
        cells.append({"codec": name, "bytes": size, "psnr": psnr, "ours": False, "identical": False})
    scene = SceneResults({"name": "s"}, cells, [])
    found = {cell["codec"]: reached for _, cell, reached in behind([scene], "default")}
    assert found == {"above": pytest.approx(35), "top": 40, "tiny": None, "small exact": 40}


def test_what_takes_too_long_names_its_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "work", lambda task, *rest: FACTS if task == "prepare" else LATE)
    monkeypatch.setenv("GSCOMPRESS_SPLAT_TRANSFORM", str(slow_program(tmp_path)))
    run(tmp_path, [SCENE], [CodecSpec("st_sog")], Rules())
    (scene,) = collect(tmp_path, ["fruit"])
    assert (scene.failed[0]["status"], scene.cells) == ("timeout", [])
    assert "SOG (gscompress writer) stands in for it" in tables.markdown([scene], "spz")


def test_quoted_points_that_are_no_such_thing_are_refused(tmp_path: Path) -> None:
    for text in ("nonsense", "[]", '{"a": [{"title": "x"}]}', '{"a": 3}'):
        (tmp_path / "q.json").write_text(text)
        with pytest.raises(UnreadableError, match="quoted points"):
            read_quoted(tmp_path / "q.json")
    with pytest.raises(UnreadableError, match="No such file"):
        read_quoted(tmp_path / "none.json")
    with pytest.raises(UnreadableError, match="nothing was measured"):
        collect(tmp_path, ["fruit"])


def slow_program(folder: Path) -> Path:
    """Something called splat-transform that leaves its process id and never ends."""
    path = folder / "splat-transform"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo v0.1 && exit\necho $$ > {folder}/pid\nexec sleep 60\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def runs(process_id: int) -> bool:
    """Whether a process is alive; a zombie that nobody has reaped yet is not."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process_id}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.skipif(os.name == "nt", reason="process groups as on Unix")
def test_past_its_time_limit_a_cell_ends_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GSCOMPRESS_SPLAT_TRANSFORM", str(slow_program(tmp_path)))
    job = {"codec": "st_spz", "source": str(FRUIT), "target": str(tmp_path / "a.spz"), "options": {}}
    (tmp_path / "cell").mkdir()
    started = time.monotonic()
    outcome = process.work("encode", job, tmp_path / "cell", 6)
    assert time.monotonic() - started < 20
    assert outcome == {"error": "encode was not done after 6 s", "timed_out": True}
    program, patience = int((tmp_path / "pid").read_text()), time.monotonic() + 5
    while runs(program) and time.monotonic() < patience:  # a killed process takes a moment to be gone
        time.sleep(0.05)
    assert not runs(program)


@pytest.mark.skipif(os.name == "nt", reason="signals as on Unix")
def test_a_run_that_is_told_to_end_takes_along_all_that_it_started(tmp_path: Path) -> None:
    wish = ["bench", str(FRUIT), "-o", str(tmp_path / "out"), "--codecs", "st_spz", "--views", "1", "--size", "48x36"]
    program = f"from gscompress.cli.main import run; raise SystemExit(run({wish!r}))"
    environment = {**os.environ, "GSCOMPRESS_SPLAT_TRANSFORM": str(slow_program(tmp_path))}
    bench = subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=tmp_path)
    said, patience = tmp_path / "pid", time.monotonic() + 60
    while not (said.exists() and said.read_text().strip()) and time.monotonic() < patience:
        time.sleep(0.05)
    bench.terminate()
    assert bench.wait(20) == 143
    patience = time.monotonic() + 5
    while runs(int(said.read_text())) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not runs(int(said.read_text()))


def test_a_scene_that_cannot_be_prepared_keeps_its_exit_code(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ply"
    broken.write_text("ply, or not")
    with pytest.raises(GscompressError, match=r"broken\.ply") as caught:
        run(tmp_path / "out", [SceneSpec("broken", broken)], [CodecSpec("splat")], Rules())
    assert caught.value.exit_code == 3


def test_a_worker_that_fails_says_why_in_its_result_and_its_log(tmp_path: Path) -> None:
    job = {"codec": "spz", "source": str(tmp_path / "none.ply"), "target": str(tmp_path / "a.spz"), "options": {}}
    out = process.work("encode", job, tmp_path, 60)
    assert "no such file" in out["error"]
    assert "no such file" in (tmp_path / "log.txt").read_text()
    broken = process.work("encode", {**job, "source": 3}, tmp_path, 60)
    assert "ended with code 1" in broken["error"]
    assert "Traceback" in (tmp_path / "log.txt").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt"]
