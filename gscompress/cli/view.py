"""``gscompress view``: look at any splat file, or a radiance field, in a browser."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from gscompress.cli import console
from gscompress.cli.cameras import parse_colour, parse_pixels
from gscompress.cli.options import Source

Against = Annotated[Path | None, typer.Option(metavar="REF", help="A file to compare with: split view and PSNR.")]
Port = Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Where to serve; 0 takes any free port.")]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="0.0.0.0 lets other machines in.")]
Open = Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")]
RendererName = Annotated[str, typer.Option("--renderer", metavar="NAME", help="cpu, triton or gsplat.")]
Size = Annotated[
    str | None,
    typer.Option(metavar="WxH", help="Largest picture the server draws; default 1920x1080, of fields 320x200."),
]
Background = Annotated[str, typer.Option(metavar="COLOUR", help="black, white or #rrggbb.")]

LARGEST = (1920, 1080)


def view(
    source: Source,
    against: Against = None,
    port: Port = 8080,
    host: Host = "127.0.0.1",
    open_page: Open = True,
    renderer: RendererName = "cpu",
    size: Size = None,
    background: Background = "black",
) -> None:
    """Look at a splat file or a radiance field in a browser, level by level, and compare it with another."""
    from gscompress.cli import fields
    from gscompress.renderers import RENDERERS
    from gscompress.viewer.exhibit import prepare
    from gscompress.viewer.server import Viewer, check_address, need_viser

    colour, limit = parse_colour(background), parse_pixels(size)
    need_viser()
    check_address(host, port)
    engine = RENDERERS.get(renderer)()
    with console.progress() as log:
        if fields.recognised(source):
            from gscompress.viewer.fields import prepare_field

            field = fields.read(source, log)
            reference = None if against is None else (against, fields.read(against, log))
            exhibit = prepare_field(source, field, reference, limit, fields.backdrop(field, colour))
        else:
            exhibit = prepare(source, against, engine, limit or LARGEST, colour, log)
    with contextlib.suppress(KeyboardInterrupt), Viewer(exhibit, host, port) as viewer:
        console.say(f"{source.name}: {viewer.url} (Ctrl-C ends)")
        sys.stdout.flush()
        if open_page:
            show_page(viewer.url)
        threading.Event().wait()


def show_page(url: str) -> None:
    """Show the page if there is a screen; without one, Python would start a browser inside the terminal."""
    import webbrowser

    if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(url)
