"""What `labelloop simulate` does with its options; the command line itself is the cli's."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from labelloop.simulation.find import find
from labelloop.simulation.results import Simulation
from labelloop.simulation.run import Beat, run
from labelloop.simulation.score import in_words
from labelloop.simulation.table import table


def simulate(  # noqa: PLR0913 - one keyword per option of the command
    project: str,
    *,
    strategies: str | Sequence[str] = ("margin", "entropy", "random"),
    seeds: int = 5,
    budget: int = 500,
    batch: int | None = None,
    first: int | None = None,
    noise: float = 0.0,
    as_json: bool = False,
    plot: Path | None = None,
    jobs: int | None = None,
) -> Simulation:
    """Replay the loop on a project's labeled source and print what came of it.

    Args:
        project: name of a project in the store or among the project files, or the path of a project file.
        strategies: names, as a list or with commas between them.
        seeds: repeats of each strategy.
        budget: labels of each replay.
        batch: labels between trainings; the project's own when not given.
        first: labels before the first training; the project's own when not given.
        noise: probability of a wrong answer.
        as_json: print one JSON object on standard output and nothing else there.
        plot: write the learning curves to this PNG.
        jobs: processes; as many as there are cores when not given.

    Raises:
        LabelloopError: unknown project or strategy, no source, terms that make no sense.
    """
    from labelloop.settings import Settings

    settings = Settings()
    found = find(project, settings)
    names = strategies.split(",") if isinstance(strategies, str) else strategies
    with _bar() as beat:
        simulation = run(
            found,
            strategies=[name.strip() for name in names if name.strip()],
            seeds=seeds,
            budget=budget,
            batch=batch,
            first=first,
            noise=noise,
            data_dir=settings.data,
            progress=beat,
            jobs=jobs,
        )
    if plot is not None:
        from labelloop.adapters.plots import learning_curves

        learning_curves(simulation.to_json(), plot, score=in_words(found), title=found.title or found.name)
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"Learning curves: {plot}", markup=False)
    if as_json:
        sys.stdout.write(json.dumps(simulation.to_json()) + "\n")
    else:
        console = Console()
        if not console.is_terminal:
            console.width = 140  # a pipe has no width, and folded numbers cannot be read
        console.print(table(simulation))
    return simulation


@contextmanager
def _bar() -> Iterator[Beat]:
    """A progress bar on standard error, gone when all is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=1.0)
        yield lambda part, what: progress.update(task, completed=part, description=what)
