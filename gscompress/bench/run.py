"""Run cells: every encode and every decode in a process of its own; finished cells are not run again."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gscompress.atomic import staged
from gscompress.bench import machine, process
from gscompress.bench.peers import PEERS
from gscompress.bench.plan import Cell, CodecSpec, Rules, SceneSpec, installed
from gscompress.errors import GscompressError, UnreadableError, UsageError
from gscompress.events import EventLog

SCENES, CELLS = "scenes", "cells"


def run(
    folder: Path,
    scenes: Sequence[SceneSpec],
    codecs: Sequence[CodecSpec],
    rules: Rules,
    *,
    jobs: int = 1,
    force: bool = False,
    log: EventLog | None = None,
) -> None:
    """Fill ``folder`` with one ``cell.json`` per cell. force: run finished cells again.

    A codec that fails, fails its cells. Raises GscompressError, with the exit code of what went wrong, when a scene
    cannot be prepared.
    """
    log = log or EventLog()
    if jobs < 1:
        raise UsageError(f"jobs is {jobs}: at least 1")
    there = installed(codecs, log)
    cells: list[Cell] = []
    largest = 0
    with log.phase("prepare scenes", len(scenes)) as done:
        for scene in scenes:
            facts = prepare(folder, scene, rules)
            for text in facts["warnings"]:
                log.warn(f"{scene.name}: {text}")
            cells += [Cell(scene, spec.name, point) for spec in there for point in spec.points(facts["sh_degree"])]
            largest = max(largest, facts["bytes"])
            done(1)
    if machine.jobs_that_fit(jobs, largest) < jobs:
        jobs = machine.jobs_that_fit(jobs, largest)
        log.warn(f"memory is short: {jobs} {'job' if jobs == 1 else 'jobs'} at a time")
    threads = None if jobs == 1 else machine.cores_per_job(jobs)
    with log.phase("measure", len(cells)) as done:

        def one(cell: Cell) -> None:
            outcome = measure(folder, cell, rules, force, threads)
            log.info(f"{cell}: {said(outcome)}")
            done(1)

        with process.guarded():
            _each(one, cells, jobs)


def _each(one: Any, cells: Sequence[Cell], jobs: int) -> None:
    """Call it for every cell, ``jobs`` at a time; when interrupted, end what runs and start nothing more."""
    if jobs == 1:
        for cell in cells:
            one(cell)
        return
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for future in [pool.submit(one, cell) for cell in cells]:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            process.end_all()
            raise


def prepare(folder: Path, scene: SceneSpec, rules: Rules) -> dict[str, Any]:
    """Facts about a scene; made in a process of its own unless they are there. Raises GscompressError."""
    place = folder / SCENES / scene.name
    place.mkdir(parents=True, exist_ok=True)
    judged = {key: value for key, value in rules.to_json().items() if key not in ("repeat", "timeout")}
    asked = {
        "path": str(scene.path.resolve()),
        "stamp": _stamp(scene.path),
        "cameras": scene.cameras and str(scene.cameras.resolve()),
        "camera_stamp": scene.cameras and _stamp(scene.cameras),
        "photos": scene.photos and str(scene.photos.resolve()),
        "rules": json.loads(json.dumps(judged)),
    }
    known = load(place / "scene.json")
    if known and known["asked"] == asked:
        return known
    job = {"folder": str(place), **asked, "rules": rules.to_json()}
    facts = process.work("prepare", job, place, rules.timeout)
    if "error" in facts:
        failure = GscompressError(f"{scene.path}: {facts['error']}")
        failure.exit_code = facts.get("exit_code", UnreadableError.exit_code)
        raise failure
    facts = {"name": scene.name, "note": scene.note, **facts, "asked": asked}
    save(place / "scene.json", facts)
    return facts


def measure(folder: Path, cell: Cell, rules: Rules, force: bool, threads: int | None) -> dict[str, Any]:
    """One cell's outcome, from its file when it was finished under the same conditions."""
    place, scene_folder = folder / CELLS / cell.folder, folder / SCENES / cell.scene.name
    facts = load(scene_folder / "scene.json") or {}
    peer = PEERS.get(cell.codec)()
    conditions = {
        "source": facts["source_sha256"],
        "views": facts["views_digest"],
        "options": json.loads(json.dumps(dict(cell.point.options))),
        "version": peer.version(),
        "repeat": rules.repeat,
    }
    known = load(place / "cell.json")
    if known and known["status"] == "done" and known["conditions"] == conditions and not force:
        return known
    place.mkdir(parents=True, exist_ok=True)
    (place / "log.txt").unlink(missing_ok=True)
    outcome = {
        "scene": cell.scene.name,
        "codec": cell.codec,
        "title": peer.title,
        "ours": peer.ours,
        "point": cell.point.label,
        "conditions": conditions,
        "load": machine.load(),
        **_measured(place, scene_folder, cell, peer.suffix, rules, threads),
    }
    save(place / "cell.json", outcome)
    return outcome


def _measured(
    place: Path, scene_folder: Path, cell: Cell, suffix: str, rules: Rules, threads: int | None
) -> dict[str, Any]:
    stored = place / f"{cell.scene.name}{suffix}"
    encode = {
        "codec": cell.codec,
        "source": str(scene_folder / "source.ply"),
        "target": str(stored),
        "options": dict(cell.point.options),
    }
    decode = {
        "codec": cell.codec,
        "stored": str(stored),
        "judges": str(scene_folder),
        "worst": str(place / "worst.png"),
        "rules": rules.to_json(),
    }
    runs: dict[str, list[dict[str, Any]]] = {"encode": [], "decode": []}
    for number in range(rules.repeat):
        for task, job in (("encode", encode), ("decode", {**decode, "score": number == 0})):
            out = process.work(task, job, place, rules.timeout, threads)
            if "error" in out:
                return _failure(cell, out)
            runs[task].append(out)
    first = runs["decode"][0]
    scores = {key: first.get(key) for key in ("psnr", "identical", "ssim", "lpips", "worst", "psnr_per_view", "fps")}
    return {
        "status": "done",
        "bytes": runs["encode"][0]["bytes"],
        "repeatable": len({one["sha256"] for one in runs["encode"]}) == 1,
        "gaussians": first["gaussians"],
        **scores,
        **{task: _median(costs) for task, costs in runs.items()},
        "warnings": sorted({text for costs in runs.values() for one in costs for text in one["warnings"]}),
    }


def _failure(cell: Cell, out: dict[str, Any]) -> dict[str, Any]:
    """Why a cell has no result, and what to look at instead where that is known."""
    late, stand_in = out.get("timed_out"), PEERS.get(cell.codec).stand_in
    instead = f"; {PEERS.get(stand_in).title} stands in for it" if late and stand_in else ""
    return {
        "status": "timeout" if late else "failed",
        "error": out["error"] + instead,
        "log": str(Path(CELLS) / cell.folder / "log.txt"),
    }


def _median(costs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of times; the peak of memory is the highest."""
    peaks = [one["peak_mb"] for one in costs if one["peak_mb"] is not None]
    return {
        "seconds": statistics.median(one["seconds"] for one in costs),
        "cpu_seconds": statistics.median(one["cpu_seconds"] for one in costs),
        "peak_mb": max(peaks) if peaks else None,
        "runs": [one["seconds"] for one in costs],
    }


def said(outcome: dict[str, Any]) -> str:
    """A cell in a few words."""
    if outcome["status"] != "done":
        return str(outcome["error"])
    loss = "identical" if outcome["identical"] else f"{outcome['psnr']:.2f} dB"
    return f"{outcome['bytes']:,} bytes, {loss}, encoded in {outcome['encode']['seconds']:.1f} s"


def load(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None when it is not there or was cut off."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        return None


def save(path: Path, facts: dict[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    with staged(path, force=True) as temporary:
        temporary.write_text(json.dumps(facts, indent=1, allow_nan=False), "utf-8")


def _stamp(path: Path) -> list[int]:
    """Size and time of the last change: enough to notice another file under the same name."""
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns]
