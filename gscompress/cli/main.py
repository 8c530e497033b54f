"""The ``gscompress`` command: finds the verb, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Annotated, Any

import typer

from gscompress import __version__
from gscompress.cli.lazy import group
from gscompress.errors import GscompressError

VERBS = {
    "compress": "gscompress.cli.compress:compress",
    "decompress": "gscompress.cli.decompress:decompress",
    "convert": "gscompress.cli.convert:convert",
    "info": "gscompress.cli.info:info",
    "render": "gscompress.cli.render:render",
    "eval": "gscompress.cli.eval:evaluate",
    "train": "gscompress.cli.train:train",
    "distill": "gscompress.cli.distill:distill",
    "stream": "gscompress.cli.stream:app",
    "bench": "gscompress.cli.bench:bench",
    "compare": "gscompress.cli.compare:compare",
    "view": "gscompress.cli.view:view",
    "verify": "gscompress.cli.verify:verify",
    "presets": "gscompress.cli.presets:presets",
    "demo": "gscompress.cli.demo:demo",
}
"""Verb → function; a verb's module is imported when it is called (or listed), heavy libraries only inside functions."""

EXIT_INTERNAL, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_PIPE_CLOSED = 1, 2, 130, 141
# typer's own base of "what the user typed is wrong"; older typer takes it from click, newer brings its own copy.
_CommandLineError: type[Any] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


app = typer.Typer(cls=group(VERBS), add_completion=False, rich_markup_mode=None)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"gscompress {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Compress trained Gaussian-splat scenes, get them back, and see what was lost."""


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that the terminal cannot show is no reason to fail
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
        code = EXIT_PIPE_CLOSED
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; never raises. Set GSCOMPRESS_DEBUG=1 to see tracebacks."""
    try:
        # Not command.main(): it answers interrupts and closed pipes in its own way.
        command = typer.main.get_command(app)
        with command.make_context("gscompress", list(arguments) or ["--help"]) as ctx:
            command.invoke(ctx)
        return 0
    except typer.Exit as done:  # --help and --version
        return int(done.exit_code) if arguments else EXIT_USAGE
    except GscompressError as error:
        return _fail(str(error), error.exit_code, arguments)
    except _CommandLineError as error:
        message = error.format_message().rstrip(".")
        return _fail(f"{message} (see gscompress {_verb(arguments)}--help)", error.exit_code, arguments)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", EXIT_INTERRUPTED, arguments)
    except BrokenPipeError:
        _drop_stdout()
        return EXIT_PIPE_CLOSED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", EXIT_INTERNAL, arguments)
    except MemoryError:
        return _fail("out of memory: use a smaller scene or a machine with more", EXIT_INTERNAL, arguments)
    except Exception as error:
        hint = "set GSCOMPRESS_DEBUG=1 for the traceback and report it"
        return _fail(f"internal error: {type(error).__name__}: {error} ({hint})", EXIT_INTERNAL, arguments)


def _fail(message: str, code: int, arguments: list[str]) -> int:
    if os.environ.get("GSCOMPRESS_DEBUG"):
        import traceback

        traceback.print_exc()
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    if "--json" in arguments:
        print(json.dumps({"error": line, "exit_code": code}))
    return code


def _verb(arguments: list[str]) -> str:
    return f"{arguments[0]} " if arguments and arguments[0] in VERBS else ""


def _drop_stdout() -> None:
    """Whoever read our output is gone: keep Python from complaining about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
