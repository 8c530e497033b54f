"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Source = Annotated[Path, typer.Argument(metavar="IN", help="A splat file (or SOG folder) of any known format.")]
Target = Annotated[Path, typer.Argument(metavar="OUT", help="The output; its suffix names the format.")]
Do = Annotated[
    list[str] | None,
    typer.Option(
        "--do", metavar="NAME:KEY=VALUE,…", help="A transform to apply first, such as sh:degree=1; repeatable."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]
Force = Annotated[bool, typer.Option("--force", help="Replace OUT when it exists.")]
