"""Replays several strategies with several seeds, in parallel processes, and gathers the curves.

A process is spawned, keeps to one numeric thread, and reads the arrays from files that all share. The same seeds give
the same simulation, whatever the number of processes.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from threadpoolctl import threadpool_limits

from labelloop.adapters.estimators import EstimatorKinds
from labelloop.domain.errors import Invalid, Unavailable
from labelloop.loop.train import fit
from labelloop.projects import Project
from labelloop.simulation import data as sets
from labelloop.simulation.arms import arm
from labelloop.simulation.data import Data
from labelloop.simulation.replay import Terms, replay
from labelloop.simulation.results import Curve, Simulation
from labelloop.simulation.score import score_name, scorer

Beat = Callable[[float, str], None]
"""Told how far the simulation is: (part from 0 to 1, what just ended)."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LABELLOOP_THREADS")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One piece of work for a process; `strategy` None fits the whole pool."""

    project: Project
    folder: Path
    strategy: str | None
    seed: int
    terms: Terms


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
    """Replay each strategy with the seeds 0 … seeds - 1.

    Args:
        project: needs a `source`.
        strategies: names; the project's own keeps its section of the file.
        seeds: how many repeats.
        budget: labels of each replay; no more than the pool has.
        batch: labels between two trainings; the project's `retrain.labels` when not given.
        first: labels before the first training; the project's `retrain.first` when not given.
        noise: probability of a wrong answer.
        data_dir: what $LABELLOOP_DATA stands for.
        progress: told after each replay.
        jobs: processes; as many as there are cores when not given. 1 replays in this process.

    Raises:
        Invalid: terms that make no sense, a project without a source, an unknown strategy.
    """
    terms = _checked(project, strategies, seeds=seeds, budget=budget, batch=batch, first=first, noise=noise)
    with TemporaryDirectory(prefix="labelloop-simulation-") as scratch, _one_thread():
        folder = Path(scratch)
        data = sets.load(project, data_dir=data_dir, folder=folder / "features")
        data.save(folder)
        names = list(dict.fromkeys(strategies))
        tasks = [_Task(project=project, folder=folder, strategy=None, seed=0, terms=terms)]
        tasks += [
            _Task(project=project, folder=folder, strategy=name, seed=seed, terms=terms)
            for seed in range(seeds)
            for name in names
        ]
        done = _all(tasks, jobs=jobs or len(os.sched_getaffinity(0)), progress=progress or _silent)
    curves = {name: [done[name, seed] for seed in range(seeds)] for name in names}
    full = done[None, 0]
    return Simulation(
        project=project.name,
        score=score_name(project),
        budget=min(budget, len(data.codes)),
        full_data_score=full.scores[-1],
        curves=curves,
    )


def full_data_score(project: Project, data: Data, *, first: int, batch: int) -> float:
    """The test score of the project's model fitted on the whole pool."""
    played = arm(project, "random", first=first, batch=batch)
    model = fit(EstimatorKinds(), played, data.features, data.codes, seed=project.seed)
    return scorer(project)(model.probabilities(data.test_features), data.test_codes)


def _all(tasks: Sequence[_Task], *, jobs: int, progress: Beat) -> Mapping[tuple[str | None, int], Curve]:
    done: dict[tuple[str | None, int], Curve] = {}

    def note(task: _Task, curve: Curve) -> None:
        done[task.strategy, task.seed] = curve
        what = "all labels" if task.strategy is None else f"{task.strategy}, seed {task.seed}"
        progress(len(done) / len(tasks), what)

    if jobs == 1:
        for task in tasks:
            note(task, _play(task))
        return done
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=get_context("spawn")) as processes:
        waiting: dict[Future[Curve], _Task] = {processes.submit(_play, task): task for task in tasks}
        try:
            for future in as_completed(waiting):
                note(waiting[future], future.result())
        except BrokenProcessPool:
            raise Unavailable(
                "A process of the simulation was killed, perhaps for want of memory. Run it again with `--jobs 1`."
            ) from None
        finally:
            processes.shutdown(wait=True, cancel_futures=True)
    return done


def _play(task: _Task) -> Curve:
    with threadpool_limits(1):
        data = _held(task.folder)
        if task.strategy is None:
            score = full_data_score(task.project, data, first=task.terms.first, batch=task.terms.batch)
            return Curve(strategy="", seed=0, labels=(len(data.codes),), scores=(score,), asked=())
        return replay(task.project, data, task.strategy, seed=task.seed, terms=task.terms, estimators=EstimatorKinds())


@lru_cache(maxsize=1)
def _held(folder: Path) -> Data:
    """The arrays, opened once per process."""
    return Data.load(folder)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Spawned processes read these when they import NumPy: more threads than cores cost many times the CPU."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        with threadpool_limits(1):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _checked(
    project: Project,
    strategies: Sequence[str],
    *,
    seeds: int,
    budget: int,
    batch: int | None,
    first: int | None,
    noise: float,
) -> Terms:
    """The terms, before anything long begins.

    Raises:
        Invalid: names the term and what it may be.
    """
    if not strategies:
        raise Invalid("Name at least one strategy to simulate, such as `--strategies margin,random`.")
    terms = Terms(
        budget=budget,
        batch=batch if batch is not None else project.retrain.labels or 50,
        first=first if first is not None else project.retrain.first,
        growth=project.retrain.growth if batch is None else None,
        noise=noise,
    )
    for name, value, least in (
        ("seeds", seeds, 1),
        ("batch", terms.batch, 1),
        ("first", terms.first, 2),
        ("budget", budget, 2),
    ):
        if value < least:
            raise Invalid(f"{name} is {value}; give at least {least}.")
    if not 0 <= noise < 1:
        raise Invalid(f"noise is {noise}; give a probability from 0 to below 1.")
    for strategy in strategies:
        arm(project, strategy, first=terms.first, batch=terms.batch, growth=terms.growth)
    scorer(project)
    return terms


def _silent(_part: float, _what: str) -> None:
    """Nobody watches."""
