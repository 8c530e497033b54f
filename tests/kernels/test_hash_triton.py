"""The Triton hash lookup without a GPU: its laws run in the interpreter, which must be chosen before triton loads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

LAWS = Path(__file__).with_name("laws_hash_triton.py")


def test_the_hash_lookup_obeys_its_laws() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "0" if torch.cuda.is_available() else "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(LAWS)]
    # Not from the repository's root: "-m" would find the part of the package that lies there.
    run = subprocess.run(
        command, env=environment, cwd=LAWS.parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert re.search(r"\b5 passed", run.stdout), run.stdout[-2000:]
