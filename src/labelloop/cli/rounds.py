"""`labelloop round`: ask for a round, and make a planned one again to see that it comes out the same."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from labelloop.cli import console
from labelloop.cli.console import AsJson, Exit
from labelloop.cli.opening import opened, settings
from labelloop.cli.words import Name

app = typer.Typer(help="Ask for rounds, and make them again.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def round_() -> None:
    """Ask for rounds, and make them again."""


@app.command()
def plan(name: Name, *, as_json: AsJson = False) -> None:
    """Ask for a new round of PROJECT: after one that failed, for the service plans all others by itself."""
    from labelloop.loop.report import job_summary
    from labelloop.loop.request import request_round

    with opened() as ports:
        job = request_round(ports, name)
    if as_json:
        console.emit(job_summary(job))
    else:
        console.say(f"Asked for {job.id}. How it ends is in: labelloop project show {name}")


@app.command()
def replay(
    name: Name,
    number: Annotated[int | None, typer.Argument(help="The round; the serving one if left out.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a round of PROJECT again and compare it with what was planned, bit for bit.

    From its seed, its model and the pool as it was then; nothing is changed. Exit codes: 0 equal, 1 another order.
    """
    from threadpoolctl import threadpool_limits

    from labelloop import wiring
    from labelloop.domain.types import RoundNumber
    from labelloop.loop.replay import replay as made_again

    chosen = settings()
    # As many threads as the sampler has: sums in another order have other last digits.
    with threadpool_limits(chosen.threads), opened(chosen) as ports, TemporaryDirectory(dir=chosen.home) as folder:
        done = made_again(
            ports,
            name,
            None if number is None else RoundNumber(number),
            scratch=wiring.scratch_scores(Path(folder)),
            beat=lambda *_: None,
        )
    if as_json:
        console.emit({**console.plain(done), "equal": done.equal})
    elif done.equal:
        console.say(f"Round {done.round} of {name}: equal, {done.queries} queries (compared by their {done.by}).")
    else:
        console.say(f"Round {done.round} of {name} differs: {done.difference}.")
        for what, (then, now) in done.numerics.items():
            console.say(f"Since then {what} has changed from {then} to {now}.")
    if not done.equal:
        raise typer.Exit(Exit.FAILED)
