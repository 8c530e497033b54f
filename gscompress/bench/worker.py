"""The inside of one process: ``main`` with TASK JOB.json RESULT.json (see process.py)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import lzma
import math
import shutil
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gscompress.atomic import staged
from gscompress.bench.meter import metered
from gscompress.bench.peers import PEERS
from gscompress.bench.plan import Rules
from gscompress.bench.views import Judges, judges_for
from gscompress.comparison import Score, average, picture
from gscompress.errors import GscompressError, MissingExtraError
from gscompress.events import Event, EventLog, Message
from gscompress.frame import RDF
from gscompress.metrics import psnr, ssim
from gscompress.metrics.ssim import RADIUS
from gscompress.scene import Scene

Job = Mapping[str, Any]


def prepare(job: Job, log: EventLog) -> dict[str, Any]:
    """Scene of any format → ``source.ply`` (the user's own bytes if it is one already), cameras, pictures."""
    from gscompress import formats

    folder, path = Path(job["folder"]), Path(job["path"])
    target = folder / "source.ply"
    if path.name.lower().endswith(".ply.xz"):
        with lzma.open(path) as packed, target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    elif formats.detect(path).name == "ply":
        shutil.copyfile(path, target)
    else:
        formats.write(formats.read(path, log), target, log=log)
    scene = formats.read(target, log).in_frame(RDF)
    rules = Rules(**{**job["rules"], "size": tuple(job["rules"]["size"])})
    judges = judges_for(scene, _path(job["cameras"]), _path(job["photos"]), rules, log)
    facts = {
        "bytes": target.stat().st_size,
        "source_sha256": _digest(target),
        "gaussians": len(scene),
        "sh_degree": scene.splats.sh_degree,
        "views": len(judges.cameras),
        "views_digest": judges.save(folder),
        "picture_size": [judges.cameras[0].width, judges.cameras[0].height],
    }
    if rules.protocol == "3dgs-zip" and (missing := without_lpips()):
        log.warn(f"the column LPIPS stays empty: {missing}")
        facts["no_lpips"] = missing
    if rules.protocol != "self":
        facts["original"] = score(scene, judges, rules, None)
    return facts


def encode(job: Job, log: EventLog) -> dict[str, Any]:
    """One file from ``source.ply``, and what it cost."""
    peer, target = PEERS.get(job["codec"])(), Path(job["target"])
    with staged(target, force=True) as temporary:
        with metered() as cost:
            peer.encode(Path(job["source"]), temporary, job["options"], log)
        if not temporary.exists():
            raise GscompressError("the codec wrote no file")
    return {**dataclasses.asdict(cost), "bytes": target.stat().st_size, "sha256": _digest(target)}


def decode(job: Job, log: EventLog) -> dict[str, Any]:
    """The scene in a file, what decoding cost, and how its pictures compare; leaves the worst one in ``worst.png``."""
    peer, stored = PEERS.get(job["codec"])(), Path(job["stored"])
    with metered() as cost:
        scene = peer.decode(stored, log)
    out = {**dataclasses.asdict(cost), "gaussians": len(scene)}
    if not job["score"]:
        return out
    judges = Judges.load(Path(job["judges"]))
    rules = Rules(**{**job["rules"], "size": tuple(job["rules"]["size"])})
    return {**out, **score(scene.in_frame(RDF), judges, rules, Path(job["worst"]))}


def score(scene: Scene, judges: Judges, rules: Rules, worst: Path | None) -> dict[str, Any]:
    """Means over views, the view with the lowest PSNR, and pictures per second (median)."""
    from gscompress.renderers import RENDERERS

    renderer = RENDERERS.get("cpu")()
    scores, lowest, least = [], 0, math.inf
    seconds = []
    for number, (camera, wanted) in enumerate(zip(judges.cameras, judges.pictures, strict=True)):
        started = time.perf_counter()
        image, _ = picture(renderer, scene, camera, judges.background)
        seconds.append(time.perf_counter() - started)
        one = _score(wanted, image, rules)
        scores.append(one)
        if one.psnr < least:
            lowest, least = number, one.psnr
            if worst is not None:
                _save(image, worst)
    mean = average(scores)
    return {
        **mean.to_json(),
        "worst": {"index": lowest, "view": judges.cameras[lowest].name, "psnr": scores[lowest].to_json()["psnr"]},
        "psnr_per_view": [one.to_json()["psnr"] for one in scores],
        "fps": 1 / float(np.median(seconds)),
    }


def _score(wanted: Any, image: Any, rules: Rules) -> Score:
    """Of one picture. The survey takes SSIM as the 3DGS trainer does, with zeros around the picture."""
    large = min(wanted.shape[:2]) > 2 * RADIUS
    border: Any = "zeros" if rules.protocol == "3dgs-zip" else "inside"
    perceptual = None
    if rules.lpips or (rules.protocol == "3dgs-zip" and not without_lpips()):
        from gscompress.metrics.lpips import lpips

        perceptual = lpips(wanted, image)
    return Score(psnr(wanted, image), ssim(wanted, image, border=border) if large else None, perceptual)


@cache
def without_lpips() -> str | None:
    """Why LPIPS cannot be measured here; None when it can."""
    from gscompress.metrics.lpips import lpips

    try:
        lpips(*np.zeros((2, 32, 32, 3), np.uint8))
    except MissingExtraError as error:
        return str(error)
    return None


def _save(image: Any, path: Path) -> None:
    from PIL import Image

    Image.fromarray(image).save(path, format="PNG")


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def _say(event: Event) -> None:
    if isinstance(event, Message):
        print(f"{event.level}: {event.text}", flush=True)


TASKS: dict[str, Callable[[Job, EventLog], dict[str, Any]]] = {"prepare": prepare, "encode": encode, "decode": decode}


def main(task: str, job: str, result: str) -> int:
    """Run one task; its result or its error goes into the result file, all else to the log of the process."""
    log = EventLog(_say)
    try:
        out = TASKS[task](json.loads(Path(job).read_text("utf-8")), log)
    except GscompressError as error:
        out = {"error": " ".join(str(error).split()), "exit_code": error.exit_code}
        print(f"error: {error}", flush=True)
    except MemoryError:
        out = {"error": "out of memory"}
    Path(result).write_text(json.dumps({**out, "warnings": log.warnings}), "utf-8")
    return 0
