"""What `labelloop simulate` does with its options; the command line itself is the cli's."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from labelloop.domain.errors import Invalid
from labelloop.measures import in_words
from labelloop.projects import ModelSpec, Project
from labelloop.settings import Settings
from labelloop.simulation import oracles, table, variants
from labelloop.simulation.compare import Comparison, compare, reference
from labelloop.simulation.find import find
from labelloop.simulation.oracles import Oracles
from labelloop.simulation.overall import overall
from labelloop.simulation.results import Simulation
from labelloop.simulation.run import Asked, Beat, LabeledSet, of_source, run_all


def simulate(  # noqa: PLR0913 - one keyword per option of the command
    projects: str | Sequence[str],
    *,
    strategies: str | Sequence[str] = ("margin", "entropy", "random"),
    models: Sequence[Path] = (),
    seeds: int = 5,
    budget: int = 500,
    batch: int | None = None,
    first: int | None = None,
    noise: float | str = 0.0,
    seconds: str | None = None,
    annotators: Path | None = None,
    against: str | None = None,
    backtest: bool = False,
    keep: Path | None = None,
    plot: Path | Sequence[Path] = (),
    over: str = "labels",
    jobs: int | None = None,
    as_json: bool = False,
) -> list[Simulation]:
    """Replay the loop on the labeled sources of projects and print what came of it.

    Args:
        projects: names of projects in the store or among the project files, or paths of project files.
        strategies: names, as a list or with commas between them.
        models: files of models that are compared with the project's own.
        seeds: repeats of each strategy.
        budget: labels of each replay.
        batch: labels between trainings; the project's own when not given.
        first: labels before the first training; the project's own when not given.
        noise: probability of a wrong answer, for all classes or by class (`spam=0.3,*=0.05`).
        seconds: mean time per label, likewise.
        annotators: a file that says all of that, and which class is taken for which.
        against: the arm that the others are compared with; random when not given.
        backtest: replay the labels that a project of the store has collected, not its source.
        keep: folder of finished curves: what is there is not played again.
        plot: write the learning curves to these PNG, SVG or PDF files.
        over: what the curves are drawn over: labels, time or cost.
        jobs: processes; as many as there are cores when not given.
        as_json: print one JSON object on standard output and nothing else there.

    Raises:
        LabelloopError: unknown project or strategy, no source, terms that make no sense.
    """
    settings = Settings()
    named = [projects] if isinstance(projects, str) else list(projects)
    pictures = [plot] if isinstance(plot, Path) else list(plot)
    people = _people(noise, seconds, annotators)
    _check_pictures(pictures, over, people)
    with _bar() as beat:
        labeled = [_labeled(name, settings, backtest=backtest) for name in named]
        asked = Asked(
            strategies=_names(strategies),
            models=_models(models, labeled),
            seeds=seeds,
            budget=budget,
            batch=batch,
            first=first,
            oracles=people,
            keep=keep,
            jobs=jobs,
        )
        simulations = run_all(labeled, asked, beat)
    compared = [compare(simulation, against) for simulation in simulations]
    for picture in pictures:
        _draw(simulations, [one.project for one in labeled], picture, over)
    if as_json:
        sys.stdout.write(json.dumps(_told(simulations, compared, against)) + "\n")
    else:
        _show(simulations, compared, against)
    return simulations


def _labeled(name: str, settings: Settings, *, backtest: bool) -> LabeledSet:
    if backtest:
        from labelloop.simulation.backtest import of_labels

        return of_labels(name, settings)
    return of_source(find(name, settings), settings.data)


def _people(noise: float | str, seconds: str | None, annotators: Path | None) -> Oracles:
    """The simulated annotators that the options describe, or their file."""
    wrong = oracles.by_class(noise, "--noise") if isinstance(noise, str) else noise
    if annotators is not None:
        if wrong or seconds is not None:
            raise Invalid("Give --annotators, or --noise and --seconds, but not both: the file says all of them.")
        return oracles.read(annotators)
    took = None if seconds is None else oracles.by_class(seconds, "--seconds")
    return oracles.made(noise=wrong, seconds=took)


def _models(paths: Sequence[Path], labeled: Sequence[LabeledSet]) -> Mapping[str, ModelSpec]:
    return variants.read(paths, labeled[0].project) if paths and labeled else {}


def _names(strategies: str | Sequence[str]) -> list[str]:
    names = strategies.split(",") if isinstance(strategies, str) else strategies
    return [name.strip() for name in names if name.strip()]


def _check_pictures(pictures: Sequence[Path], over: str, people: Oracles) -> None:
    """Before the hours of a simulation: a picture that could not be drawn at its end."""
    if over not in {"labels", "time", "cost"}:
        raise Invalid(f"--over {over!r}: give labels, time or cost.")
    if over != "labels" and people.seconds is None:
        raise Invalid(f"--over {over} needs --seconds, or `seconds` in the file of --annotators.")
    if over == "cost" and people.hourly is None:
        raise Invalid("--over cost needs `hourly`, the price of an hour, in the file of --annotators.")
    if pictures:
        from labelloop.adapters.plots.style import form

        for picture in pictures:
            form(picture)


def _draw(simulations: Sequence[Simulation], projects: Sequence[Project], picture: Path, over: Any) -> None:
    from labelloop.adapters.plots import learning_curves

    learning_curves(
        [simulation.to_json() for simulation in simulations],
        picture,
        score=[in_words(project) for project in projects],
        title=[project.title or project.name for project in projects],
        over=over,
    )
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"Learning curves: {picture}", markup=False)


def _told(
    simulations: Sequence[Simulation], compared: Sequence[Sequence[Comparison]], against: str | None
) -> dict[str, Any]:
    """One set as it always was, with its comparisons; several as a list with what they say together."""
    told = [
        simulation.to_json() | {"comparisons": [one.to_json() for one in found]}
        for simulation, found in zip(simulations, compared, strict=True)
    ]
    if len(told) == 1:
        return told[0]
    together = {name: one.to_json() for name, one in overall(simulations, against).items()}
    return {"simulations": told, "against": reference(simulations[0], against), "overall": together}


def _show(simulations: Sequence[Simulation], compared: Sequence[Sequence[Comparison]], against: str | None) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = 170  # a pipe has no width, and folded numbers cannot be read
    for simulation, found in zip(simulations, compared, strict=True):
        console.print(table.table(simulation, found, against=against))
    if len(simulations) > 1:
        base = reference(simulations[0], against)
        console.print(table.standings(overall(simulations, against), sets=len(simulations), base=base))


@contextmanager
def _bar() -> Iterator[Beat]:
    """A progress bar on standard error, gone when all is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=1.0)
        yield lambda part, what: progress.update(task, completed=part, description=what)
