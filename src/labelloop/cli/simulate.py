"""`labelloop simulate`: replay the loop on labeled sets before paying for labels; the work is the simulation's."""

from pathlib import Path
from typing import Annotated

import typer

from labelloop.cli.console import AsJson

_NAMES = "Names, with commas between them; after a + how batches are spread, such as margin+none."


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(simulate)


def simulate(  # noqa: PLR0913 - one parameter per option
    projects: Annotated[list[str], typer.Argument(metavar="PROJECT...", help="Projects, or paths of project files.")],
    *,
    strategies: Annotated[str, typer.Option(help=_NAMES)] = "margin,entropy,random",
    models: Annotated[
        list[Path] | None,
        typer.Option(help="TOML of a [model] section, or of several by name: compared with the project's own. Repeat."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Repeats of each strategy.")] = 5,
    budget: Annotated[int, typer.Option(help="Labels of each replay.")] = 500,
    batch: Annotated[int | None, typer.Option(help="Labels between trainings; the project's own if left out.")] = None,
    first: Annotated[int | None, typer.Option(help="Labels before the first; the project's own if left out.")] = None,
    noise: Annotated[str, typer.Option(help="Probability of a wrong answer; by class: spam=0.3,*=0.05.")] = "0",
    seconds: Annotated[str | None, typer.Option(help="Mean time per label; by class: spam=8,*=3.")] = None,
    annotators: Annotated[
        Path | None, typer.Option(help="TOML of noise, confusion, seconds, spread and hourly price.")
    ] = None,
    against: Annotated[str | None, typer.Option(help="What the others are compared with; random if left out.")] = None,
    backtest: Annotated[
        bool, typer.Option("--backtest", help="Replay the labels that a live project has collected, not its source.")
    ] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Folder of finished curves; what is there is not played again.")
    ] = None,
    plot: Annotated[
        list[Path] | None, typer.Option(help="Write the learning curves to this PNG, SVG or PDF. Repeat.")
    ] = None,
    over: Annotated[str, typer.Option(help="Draw the curves over labels, time or cost.")] = "labels",
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; as many as cores if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare query strategies, and models, on labeled data, with the code that serves people.

    The data are the `source` of each PROJECT, or with --backtest its own labels so far.
    """
    from labelloop.simulation.command import simulate as run

    run(
        projects,
        strategies=strategies,
        models=models or (),
        seeds=seeds,
        budget=budget,
        batch=batch,
        first=first,
        noise=noise,
        seconds=seconds,
        annotators=annotators,
        against=against,
        backtest=backtest,
        keep=keep,
        plot=plot or (),
        over=over,
        jobs=jobs,
        as_json=as_json,
    )
