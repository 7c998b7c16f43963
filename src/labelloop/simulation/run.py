"""Replays several strategies, and models, on several labeled sets with several seeds, and gathers the curves.

The same seeds give the same simulation, whatever the number of processes, and whether curves were kept or played.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from labelloop import schema
from labelloop.adapters.estimators import EstimatorKinds
from labelloop.domain.errors import Invalid
from labelloop.measures import score_name, scorer
from labelloop.projects import ModelSpec, Project
from labelloop.simulation import data as sets
from labelloop.simulation import kept, oracles, variants
from labelloop.simulation.arms import arm
from labelloop.simulation.kept import Kept
from labelloop.simulation.oracles import Oracles
from labelloop.simulation.processes import ALL, Task, cores, full_data_score, one_thread, play_all
from labelloop.simulation.replay import Terms
from labelloop.simulation.results import Curve, Simulation
from labelloop.simulation.variants import Arm
from labelloop.simulation.voices import playable

__all__ = ["Asked", "Beat", "LabeledSet", "full_data_score", "of_source", "run", "run_all"]

Beat = Callable[[float, str], None]
"""Told how far the simulation is: (part from 0 to 1, what just ended)."""

Key = tuple[int, str, int]
"""A set's place, an arm, a seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledSet:
    """A project with its labeled items: `load` writes their features below a folder and returns the arrays.

    `caveat` says what the numbers of this set cannot mean.
    """

    project: Project
    load: Callable[[Path], sets.Data]
    caveat: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is simulated, on every set: strategies, seeds and labels; `batch` and `first` as the project when None.

    `models` are compared with the project's own. `keep` is the folder of finished curves.
    """

    strategies: Sequence[str]
    seeds: int
    budget: int
    batch: int | None = None
    first: int | None = None
    noise: float = 0.0
    oracles: Oracles | None = None
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    keep: Path | None = None
    jobs: int | None = None

    def terms(self, project: Project) -> Terms:
        """The terms of one project."""
        return Terms(
            budget=self.budget,
            batch=self.batch if self.batch is not None else project.retrain.step(0) or 50,
            first=self.first if self.first is not None else project.retrain.first,
            growth=project.retrain.growth if self.batch is None else None,
            noise=self.noise,
            oracles=self.oracles,
        )


def of_source(project: Project, data_dir: Path | None) -> LabeledSet:
    """The labeled source that a project file names."""
    return LabeledSet(project=project, load=lambda folder: sets.load(project, data_dir=data_dir, folder=folder))


def run(  # noqa: PLR0913 - the terms of a simulation, all keyword
    project: Project,
    *,
    strategies: Sequence[str],
    seeds: int,
    budget: int,
    batch: int | None = None,
    first: int | None = None,
    noise: float = 0.0,
    data_dir: Path | None = None,
    progress: Beat | None = None,
    jobs: int | None = None,
) -> Simulation:
    """Replay each strategy with the seeds 0 … seeds - 1 on the source of one project; `run_all` can do more.

    Args:
        project: needs a `source`.
        strategies: names; the project's own keeps its section of the file.
        seeds: how many repeats.
        budget: labels of each replay; no more than the pool has.
        batch: labels between two trainings; the project's own when not given.
        first: labels before the first training; the project's `retrain.first` when not given.
        noise: probability of a wrong answer.
        data_dir: what $LABELLOOP_DATA stands for.
        progress: told after each replay.
        jobs: processes; as many as there are cores when not given. 1 replays in this process.

    Raises:
        Invalid: terms that make no sense, a project without a source, an unknown strategy.
    """
    asked = Asked(strategies=strategies, seeds=seeds, budget=budget, batch=batch, first=first, noise=noise, jobs=jobs)
    return run_all([of_source(project, data_dir)], asked, progress)[0]


def run_all(labeled: Sequence[LabeledSet], asked: Asked, progress: Beat | None = None) -> list[Simulation]:
    """Replay every arm with every seed on every set, in one pool of processes; a simulation for each set, in order.

    With `asked.keep` each curve is read from there, or played and kept there at once, so that a run that was killed
    goes on where it stopped.

    Raises:
        Invalid: terms that make no sense for one of the projects, a project without a source, an unknown strategy.
    """
    _check(labeled, asked)
    heard = progress or _silent
    arms = [playable(one.project, variants.arms(asked.strategies, asked.models), asked.models) for one in labeled]
    with TemporaryDirectory(prefix="labelloop-simulation-") as scratch, one_thread():
        tasks: list[Task] = []
        facts: dict[Key, Mapping[str, Any]] = {}
        pools = []
        for at, one in enumerate(labeled):
            heard(0.0, f"reading {one.project.name}")
            folder = Path(scratch) / str(at)
            data = one.load(folder / "features")
            data.save(folder)
            pools.append(len(data.codes))
            more = _tasks(one.project, asked, arms[at], folder=folder, at=at)
            tasks += more
            facts |= _facts(more, kept.digest(data)) if asked.keep else {}
        folders = [Kept(asked.keep / one.project.name) if asked.keep else None for one in labeled]
        found = _known(tasks, folders, facts)

        def note(task: Task, curve: Curve) -> None:
            found[task.key] = curve
            if folder := folders[task.key[0]]:
                folder.write(task.name, facts[task.key], curve)
            heard(len(found) / len(tasks), task.words)

        waiting = [task for task in tasks if task.key not in found]
        play_all(waiting, jobs=asked.jobs or cores(), note=note)
    curves = [_curves(at, arms[at], asked.seeds, found) for at in range(len(labeled))]
    full = [{model: found[at, _full(model), 0].scores[-1] for model in _models(asked)} for at in range(len(labeled))]
    return [_gathered(one, asked, pools[at], curves[at], full[at]) for at, one in enumerate(labeled)]


def _tasks(project: Project, asked: Asked, arms: Sequence[Arm], *, folder: Path, at: int) -> list[Task]:
    """The fits on all labels first: they take longest."""
    terms = asked.terms(project)

    def task(model: str | None, strategy: str | None, *, arm: str, seed: int) -> Task:
        played = variants.with_model(project, asked.models.get(model or ""))
        name = f"{project.name}, {arm}"
        key = (at, arm, seed)
        return Task(key=key, project=played, folder=folder, name=name, strategy=strategy, seed=seed, terms=terms)

    tasks = [task(model, None, arm=_full(model), seed=0) for model in _models(asked)]
    return tasks + [task(a.model, a.strategy, arm=a.name, seed=seed) for seed in range(asked.seeds) for a in arms]


def _models(asked: Asked) -> list[str | None]:
    return [variants.OWN, *asked.models] if asked.models else [None]


def _full(model: str | None) -> str:
    return f"{model}, {ALL}" if model else ALL


def _facts(tasks: Sequence[Task], data: str) -> dict[Key, Mapping[str, Any]]:
    """What each task's curve depends on; nobody answers in a fit on all labels."""
    return {
        task.key: kept.facts(
            task.played,
            data=data,
            strategy=task.strategy or ALL,
            seed=task.seed,
            terms=task.terms if task.strategy else Terms(budget=0, first=task.terms.first, batch=task.terms.batch),
        )
        for task in tasks
    }


def _known(
    tasks: Sequence[Task], folders: Sequence[Kept | None], facts: Mapping[Key, Mapping[str, Any]]
) -> dict[Key, Curve]:
    """The curves that are there already."""
    found = {}
    for task in tasks:
        folder = folders[task.key[0]]
        curve = folder.read(task.name, facts[task.key]) if folder else None
        if curve is not None:
            found[task.key] = curve
    return found


def _curves(at: int, arms: Sequence[Arm], seeds: int, found: Mapping[Key, Curve]) -> dict[str, list[Curve]]:
    return {arm.name: [found[at, arm.name, seed] for seed in range(seeds)] for arm in arms}


def _gathered(
    one: LabeledSet, asked: Asked, pool: int, curves: Mapping[str, Sequence[Curve]], full: Mapping[str | None, float]
) -> Simulation:
    return Simulation(
        project=one.project.name,
        score=score_name(one.project),
        budget=min(asked.budget, pool),
        full_data_score=max(full.values()),
        curves=curves,
        models={model: score for model, score in full.items() if model is not None},
        hourly=asked.oracles.hourly if asked.oracles else None,
        caveat=one.caveat,
    )


def _check(labeled: Sequence[LabeledSet], asked: Asked) -> None:
    """All terms, before anything long begins.

    Raises:
        Invalid: names the term and what it may be.
    """
    if not labeled:
        raise Invalid("Name at least one project to simulate.")
    if not asked.strategies:
        raise Invalid("Name at least one strategy to simulate, such as `--strategies margin,random`.")
    names = [one.project.name for one in labeled]
    if len(set(names)) < len(names):
        raise Invalid(f"Each project may be named once; got {', '.join(names)}.")
    if not 0 <= asked.noise < 1:
        raise Invalid(f"noise is {asked.noise}; give a probability from 0 to below 1.")
    for one in labeled:
        terms = asked.terms(one.project)
        for name, value, least in (
            ("seeds", asked.seeds, 1),
            ("batch", terms.batch, 1),
            ("first", terms.first, 2),
            ("budget", asked.budget, 2),
        ):
            if value < least:
                raise Invalid(f"{name} is {value}; give at least {least}.")
        for strategy in asked.strategies:
            arm(one.project, strategy, first=terms.first, batch=terms.batch, growth=terms.growth)
        for model in asked.models.values():
            EstimatorKinds().check(model)
        scorer(one.project)
        oracles.check(terms.people(), schema.of(one.project).classes)


def _silent(_part: float, _what: str) -> None:
    """Nobody watches."""
