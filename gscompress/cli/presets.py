"""``gscompress presets``: what --preset can name."""

from __future__ import annotations

from gscompress.cli import console
from gscompress.cli.options import Json
from gscompress.codecs.base import PHOTOS_OR_RENDERS
from gscompress.recipe import Recipe


def presets(as_json: Json = False) -> None:
    """List the presets."""
    from gscompress.codecs.presets import PRESETS
    from gscompress.config import to_config

    recipes = {name: PRESETS.get(name) for name in PRESETS}
    if as_json:
        described = {
            name: {
                "description": recipe.description,
                **recipe.to_json(),
                "codec": {"name": recipe.codec.name, "config": to_config(recipe.codec)},
                "needs": sorted(recipe.needs),
                "quality_dial": hasattr(recipe.codec, "quality"),
            }
            for name, recipe in recipes.items()
        }
        console.emit({"presets": described})
        return
    rows = [
        [
            name,
            recipe.description,
            recipe.codec.name,
            "yes" if hasattr(recipe.codec, "quality") else "no",
            photos(recipe),
        ]
        for name, recipe in recipes.items()
    ]
    console.table(["preset", "what it does", "codec", "--quality", "--data"], rows, words=5)


def photos(recipe: Recipe) -> str:
    """Whether it looks at photos."""
    if "photos" in recipe.needs:
        return "needed"
    return "yes" if PHOTOS_OR_RENDERS in recipe.needs else "no"
