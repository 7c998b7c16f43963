"""`labelloop simulate`: replay the loop on a labeled set before paying for labels; the work is the simulation's."""

from pathlib import Path
from typing import Annotated

import typer

from labelloop.cli.console import AsJson


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(simulate)


def simulate(  # noqa: PLR0913 - one parameter per option
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="A project, or the path of a project file.")],
    *,
    strategies: Annotated[str, typer.Option(help="Names, with commas between them.")] = "margin,entropy,random",
    seeds: Annotated[int, typer.Option(help="Repeats of each strategy.")] = 5,
    budget: Annotated[int, typer.Option(help="Labels of each replay.")] = 500,
    batch: Annotated[int | None, typer.Option(help="Labels between trainings; the project's own if left out.")] = None,
    first: Annotated[int | None, typer.Option(help="Labels before the first; the project's own if left out.")] = None,
    noise: Annotated[float, typer.Option(help="Probability of a wrong answer.")] = 0.0,
    plot: Annotated[Path | None, typer.Option(help="Write the learning curves to this PNG.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; as many as cores if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare query strategies on the labeled source of PROJECT, with the code that serves people."""
    from labelloop.simulation.command import simulate as run

    run(
        project,
        strategies=strategies,
        seeds=seeds,
        budget=budget,
        batch=batch,
        first=first,
        noise=noise,
        as_json=as_json,
        plot=plot,
        jobs=jobs,
    )
