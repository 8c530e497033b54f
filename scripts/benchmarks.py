"""Regenerate docs/benchmarks.md and the plot in the README from the real scenes beside this repository.

python scripts/benchmarks.py                           # everything, hours on two cores; finished cells are kept
python scripts/benchmarks.py --scenes plush --codecs default,spz
python scripts/benchmarks.py --report                  # only write the pages again
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from gscompress.bench.machine import describe
from gscompress.bench.plan import Rules, SceneSpec, codec_specs
from gscompress.bench.run import run
from gscompress.bench.tables import markdown, measured_on
from gscompress.cli.bench import report
from gscompress.events import Event, EventLog, Message

ROOT = Path(__file__).resolve().parent.parent
CODECS = (
    "default:q10+q30+q50+q70+q85+q100,fast:q30+q60+q90,lossless,spz,sog,gsplat_png,compressed_ply,splat,"
    "niantic_spz,st_spz,ksplat,xz:transposed"
)
SLOW = (
    ("small:q15+q40+q70+q100", ("plush", "splatfacto-22k", "fruit-drops-4k")),
    ("st_sog", ("fruit-drops-4k", "angel", "monkey")),
)
"""Codecs that take minutes or hours on large scenes, and the scenes that they are run on."""
ONCE_QUANTIZED = (
    "Quantized once before (it comes as .sog): its values lie on a grid already, which flatters that format."
)
SCENES = (
    (
        "plush",
        "plush/scene.ply.xz",
        "plush/cameras.json",
        "A room, trained from photos; judged by its 13 test cameras.",
    ),
    ("splatfacto-22k", "raw/splatfacto-22k.ply.xz", None, "Raw nerfstudio output, with leftovers of initialisation."),
    ("fruit-drops-4k", "raw/fruit-drops-4k.ply.xz", None, "Raw output of the reference trainer, one extra column."),
    ("sushi", "scans/sushi.sog", None, ONCE_QUANTIZED),
    ("pizza", "scans/pizza.sog", None, ONCE_QUANTIZED),
    ("angel", "formats/angel.sog", None, ONCE_QUANTIZED),
    ("monkey", "flipbook/monkey_0001.sog", None, f"One frame of an animation. {ONCE_QUANTIZED}"),
)
START, END = "<!-- results: written by scripts/benchmarks.py -->", "<!-- end of results -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--scenes", help="names, separated by commas; default: all", default="")
    parser.add_argument("--codecs", help="as for 'gscompress bench'; default: those of the page")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "benchmarks", help="where cells are kept")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=900)
    parser.add_argument("--force", action="store_true", help="run finished cells again")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    wish = parser.parse_args()
    specs = [
        SceneSpec(name, wish.data / path, wish.data / cameras if cameras else None, None, note)
        for name, path, cameras, note in SCENES
    ]
    chosen = [spec for spec in specs if not wish.scenes or spec.name in wish.scenes.split(",")]
    rules = Rules(repeat=wish.repeat, timeout=wish.timeout)
    log = EventLog(say)
    wish.out.mkdir(parents=True, exist_ok=True)
    if not wish.report:
        for codecs, names in [(wish.codecs, None)] if wish.codecs else [(CODECS, None), *SLOW]:
            some = [spec for spec in chosen if names is None or spec.name in names]
            run(wish.out, some, codec_specs(codecs), rules, force=wish.force, log=log)
    measured = [spec for spec in specs if (wish.out / "cells" / spec.name).is_dir()]
    publish(wish.out, measured, rules, log)


def publish(out: Path, specs: list[SceneSpec], rules: Rules, log: EventLog) -> None:
    """Copy what was found into the documentation."""
    docs = ROOT / "docs"
    found = report(out, specs, "spz", "scenes", docs / "benchmarks" / "quoted.json", rules.to_json(), log)
    (docs / "images").mkdir(exist_ok=True)
    shutil.copyfile(out / ("rd.png" if len(found) > 1 else f"rd-{found[0].name}.png"), docs / "images" / "rd.png")
    for scene in found:
        shutil.copyfile(out / "results" / "scenes" / f"{scene.name}.csv", docs / "benchmarks" / f"{scene.name}.csv")
    page = docs / "benchmarks.md"
    before, _, rest = page.read_text("utf-8").partition(START)
    page.write_text(
        f"{before}{START}\n\n{measured_on(found, describe())}\n{markdown(found, 'spz')}\n{END}{rest.partition(END)[2]}",
        "utf-8",
    )


def say(event: Event) -> None:
    if isinstance(event, Message):
        print(event.text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
