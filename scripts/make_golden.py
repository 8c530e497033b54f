"""Write the golden files that tests/golden lacks: one per preset and codec version. Existing ones are never touched.

    python scripts/make_golden.py

Run it once when a codec version is frozen, commit what it wrote, and never write these files again: every later
version of gscompress must decode them (tests/golden/test_golden.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gscompress import api, formats
from gscompress.cli.views import context
from gscompress.codecs.presets import PRESETS
from gscompress.events import EventLog

TESTS = Path(__file__).parent.parent / "tests"


def main() -> None:
    scene = formats.read(TESTS / "fixtures" / "fruit.ply")
    for preset in PRESETS:
        recipe = PRESETS.get(preset)
        path = TESTS / "golden" / f"{preset}-{recipe.codec.name}-v{recipe.codec.version}.gscz"
        if path.exists() or "photos" in recipe.needs:
            continue
        path.write_bytes(api.compress(scene, preset, ctx=context(recipe, scene, EventLog())))
        s = api.decompress(path.read_bytes()).splats
        values = {name: getattr(s, name) for name in ("means", "log_scales", "quats", "logit_opacities", "sh")}
        np.savez_compressed(path.with_suffix(".npz"), **values)  # type: ignore[arg-type]
        print(f"{path.name}: {path.stat().st_size} bytes, {len(s)} Gaussians")


if __name__ == "__main__":
    main()
