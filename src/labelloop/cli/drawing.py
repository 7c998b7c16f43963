"""`labelloop map`: the pool on a plane, as a picture or as data."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from labelloop.cli import console
from labelloop.cli.console import AsJson
from labelloop.cli.opening import opened
from labelloop.cli.words import Name


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(name="map")(draw)


def draw(
    name: Name,
    *,
    out: Annotated[
        Path | None, typer.Option(help="A PNG, SVG or PDF; the project's name and .png if left out.")
    ] = None,
    layout: Annotated[
        Literal["tsne", "pca"], typer.Option(help="tsne keeps neighbours together, pca keeps distances.")
    ] = "tsne",
    as_json: AsJson = False,
) -> None:
    """Draw the pool of PROJECT: what it is, where the model is unsure, where we asked.

    At most 5,000 items are drawn: a sample by lot, and labeled items. The page shows the same map.
    """
    from labelloop.adapters.plots import pool_map
    from labelloop.adapters.plots.style import form
    from labelloop.loop.map import draw as draw_map

    picture = out or Path(f"{name}.png")
    form(picture)
    with opened() as ports:
        drawn = draw_map(ports, name, lambda _part, _what: None)
    if as_json:
        console.emit(drawn)
    if out is not None or not as_json:
        pool_map(drawn, picture, layout=layout)
        console.note(f"Map of {len(drawn['points']['item']):,} items: {picture}")
