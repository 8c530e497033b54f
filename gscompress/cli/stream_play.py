"""``gscompress stream play``: watch a stream in a browser."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Annotated

import typer

from gscompress.cli import console
from gscompress.cli.cameras import parse_colour, parse_pixels
from gscompress.cli.view import LARGEST, Background, Host, Open, Port, RendererName, Size, show_page

Where = Annotated[
    str, typer.Argument(metavar="URL|FILE", help="A stream's address or path: its folder, manifest.json or .gscz file.")
]
Loop = Annotated[bool, typer.Option("--loop/--no-loop", help="Begin again at the end.")]
Rendition = Annotated[
    str | None, typer.Option(metavar="NAME", help="Play this rendition (such as q60) whatever the bandwidth.")
]


def play(
    where: Where,
    loop: Loop = True,
    rendition: Rendition = None,
    port: Port = 8080,
    host: Host = "127.0.0.1",
    open_page: Open = True,
    renderer: RendererName = "cpu",
    size: Size = None,
    background: Background = "black",
) -> None:
    """Play a stream in the viewer, from a file, a folder or over HTTP."""
    from gscompress.renderers import RENDERERS
    from gscompress.stream.prefetch import Options
    from gscompress.viewer.player import open_player
    from gscompress.viewer.server import check_address, need_viser

    colour, limit = parse_colour(background), parse_pixels(size) or LARGEST
    need_viser()
    check_address(host, port)
    engine = RENDERERS.get(renderer)()
    options = Options(rendition=rendition)
    with console.progress() as log:
        player = open_player(where, options, engine, limit, colour, log, host, port, loop=loop)
    with contextlib.suppress(KeyboardInterrupt), player:
        player.playback.play()
        console.say(f"{where}: {player.url} (Ctrl-C ends)")
        sys.stdout.flush()
        if open_page:
            show_page(player.url)
        threading.Event().wait()
