"""``gscompress stream``: sequences of splat files as one stream, by verbs of its own."""

from __future__ import annotations

import typer

from gscompress.cli.lazy import group

STREAM_VERBS = {
    "encode": "gscompress.cli.stream_encode:encode",
    "info": "gscompress.cli.stream_info:info",
    "decode": "gscompress.cli.stream_decode:decode",
    "serve": "gscompress.cli.stream_serve:serve",
    "play": "gscompress.cli.stream_play:play",
}

app = typer.Typer(cls=group(STREAM_VERBS), add_completion=False, rich_markup_mode=None)


@app.callback()
def _root() -> None:
    """Compress, serve and play sequences of scenes."""
