"""Replays in parallel processes: each keeps to one numeric thread, and reads arrays from files that all share.

What is replayed, and what becomes of the curves, is not known here.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from threadpoolctl import threadpool_limits

from labelloop.adapters.estimators import EstimatorKinds
from labelloop.domain.errors import Unavailable
from labelloop.loop.fitting import fit
from labelloop.measures import scorer
from labelloop.projects import Project
from labelloop.settings import THREAD_VARIABLES
from labelloop.simulation.arms import arm
from labelloop.simulation.data import Data
from labelloop.simulation.replay import Terms, replay
from labelloop.simulation.results import Curve

ALL = "all labels"
"""How the fit on the whole pool is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work for a process; `strategy` None fits the whole pool.

    `key` is its set's place, its arm and its seed; `name` says the same to people.
    """

    key: tuple[int, str, int]
    project: Project
    folder: Path
    name: str
    strategy: str | None
    seed: int
    terms: Terms

    @property
    def played(self) -> Project:
        """The project as this task plays it."""
        terms = self.terms
        strategy = self.strategy or "random"
        return arm(self.project, strategy, first=terms.first, batch=terms.batch, growth=terms.growth)

    @property
    def words(self) -> str:
        """For a progress bar."""
        return f"{self.name}, {ALL}" if self.strategy is None else f"{self.name}, seed {self.seed}"


def play_all(tasks: Sequence[Task], *, jobs: int, note: Callable[[Task, Curve], None]) -> None:
    """Play all tasks in so many processes, or in this one; `note` hears of each as it ends.

    Raises:
        Unavailable: a process was killed.
    """
    if jobs == 1 or len(tasks) < 2:
        for task in tasks:
            note(task, _play(task))
        return
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=get_context("spawn")) as processes:
        waiting: dict[Future[Curve], Task] = {processes.submit(_play, task): task for task in tasks}
        try:
            for future in as_completed(waiting):
                note(waiting[future], future.result())
        except BrokenProcessPool:
            raise Unavailable(
                "A process of the simulation was killed, perhaps for want of memory. Run it again with `--jobs 1`; "
                "with `--keep DIR` it goes on where it stopped."
            ) from None
        finally:
            processes.shutdown(wait=True, cancel_futures=True)


def full_data_score(project: Project, data: Data, *, first: int, batch: int) -> float:
    """The test score of the project's model fitted on the whole pool."""
    played = arm(project, "random", first=first, batch=batch)
    model = fit(EstimatorKinds(), played, data.features, data.codes, seed=project.seed, shape=data.shape)
    return scorer(project)(model.probabilities(data.test_features), data.test_codes)


def cores() -> int:
    """Cores that this process may use; all of the machine's where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Spawned processes read these when they import NumPy: more threads than cores cost many times the CPU."""
    variables = (*THREAD_VARIABLES, "LABELLOOP_THREADS")
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(dict.fromkeys(variables, "1"))
    try:
        with threadpool_limits(1):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _play(task: Task) -> Curve:
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
