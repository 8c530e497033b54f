"""Command groups that import a verb when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer


def group(verbs: Mapping[str, str]) -> type[typer.core.TyperGroup]:
    """A group of verbs by name → ``module:attribute``; the attribute is a function, or a typer app of its own."""

    class Lazy(typer.core.TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(verbs)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in verbs:
                return None
            module, _, attribute = verbs[cmd_name].partition(":")
            found = getattr(import_module(module), attribute)
            if not isinstance(found, typer.Typer):
                app = typer.Typer(add_completion=False, rich_markup_mode=None)
                app.command(cmd_name)(found)
                found = app
            command = typer.main.get_command(found)
            command.name = cmd_name
            return command

    return Lazy
