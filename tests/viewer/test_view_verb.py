"""``gscompress view`` from outside: what it prints, its exit codes, and that Ctrl-C ends it quietly."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import open_url
from specimens import FRUIT, blob

from gscompress import formats
from gscompress.cli.main import run
from gscompress.errors import UsageError
from gscompress.viewer.server import check_address


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> str:
    """The one line that a failing run prints."""
    assert run(["view", *map(str, arguments), "--no-open"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_a_taken_port_is_refused_before_the_file_is_read(
    taken: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, 2, tmp_path / "missing.ply", "--port", taken)
    assert f"port {taken}" in line
    assert "--port" in line
    check_address("127.0.0.1", 0)


def test_other_wrong_wishes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no address of this machine" in fails(capsys, 2, FRUIT, "--host", "192.0.2.1")
    assert "choose from" in fails(capsys, 2, FRUIT, "--renderer", "crayons", "--port", 0)
    assert "960x540" in fails(capsys, 2, FRUIT, "--size", "big", "--port", 0)
    assert "no such file" in fails(capsys, 3, tmp_path / "missing.ply", "--port", 0)
    assert "no such file" in fails(capsys, 3, FRUIT, "--against", tmp_path / "missing.ply", "--port", 0)
    (tmp_path / "noise.ply").write_bytes(b"ply\nformat nonsense")
    assert "noise.ply" in fails(capsys, 3, tmp_path / "noise.ply", "--port", 0)
    formats.write(blob(0), tmp_path / "empty.ply")
    assert "nothing to look at" in fails(capsys, 2, tmp_path / "empty.ply", "--port", 0)
    assert "nothing to compare" in fails(capsys, 2, FRUIT, "--against", tmp_path / "empty.ply", "--port", 0)


def test_without_viser_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    assert "gscompress[viewer]" in fails(capsys, 4, FRUIT, "--port", 0)


def test_rights_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(UsageError, match="from 1024 up"):
        check_address("127.0.0.1", 80)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_it_serves_until_ctrl_c_and_says_nothing_more() -> None:
    # A background job of a shell starts with interrupts ignored, and hands that down.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    code += "from gscompress.cli.main import main; main()"
    command = [sys.executable, "-c", code, "view", str(FRUIT), "--port", "0", "--no-open"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, cwd=FRUIT.parent, **pipes) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"fruit\.ply: (http://127\.0\.0\.1:\d+) \(Ctrl-C ends\)\n", line)
            assert found, line
            with open_url(found[1]) as reply:
                assert b"<html" in reply.read(2000).lower()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "", "")
