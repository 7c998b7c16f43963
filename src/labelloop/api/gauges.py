"""The gauges of /metrics, measured from the ports when somebody asks."""

from collections import Counter
from collections.abc import Callable, Iterator

from labelloop.domain.states import JobKind, ProjectState
from labelloop.loop.report import requirements
from labelloop.ports import Ports
from labelloop.telemetry import Sample, logger

log = logger(__name__)

STATES = ("pooled", "queued", "leased", "resolved", "disputed", "retired")
LATEST_JOBS = 100
"""Jobs of each kind that are counted by state."""


class PortSampler:
    """Implements telemetry.Sampler. A part that fails is counted and left out; the rest of the scrape is answered."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def __call__(self) -> Iterator[Sample]:
        """The samples of now, project by project."""
        parts: tuple[tuple[str, Callable[[str], Iterator[Sample]]], ...] = (
            ("items", self._items),
            ("queue", self._queue),
            ("requirements", self._requirements),
            ("ranks", self._ranks),
            ("rounds", self._rounds),
            ("jobs", self._jobs),
            ("models", self._models),
        )
        failed = Counter[str](dict.fromkeys(("projects", *(part for part, _ in parts)), 0))
        names: list[str] = []
        try:
            names = self._ports.projects.names()
        except Exception:  # a scrape says what is missing, it does not fail
            log.exception("metrics.failed", part="projects")
            failed["projects"] += 1
        for project in names:
            for part, measure in parts:
                try:
                    yield from list(measure(project))
                except Exception:  # as above
                    log.exception("metrics.failed", part=part, project=project)
                    failed[part] += 1
        for part, count in failed.items():
            yield Sample(gauge="labelloop_scrape_errors", labels=(part,), value=count)

    def _items(self, project: str) -> Iterator[Sample]:
        counts, row = self._ports.pool.counts(project), self._ports.projects.row(project)
        for state in STATES:
            yield Sample(gauge="labelloop_items", labels=(project, state), value=getattr(counts, state))
        yield Sample(gauge="labelloop_spent_votes", labels=(project,), value=row.spent)
        yield Sample(gauge="labelloop_pool_version", labels=(project,), value=row.pool_version)
        yield Sample(gauge="labelloop_paused", labels=(project,), value=row.state is ProjectState.PAUSED)

    def _queue(self, project: str) -> Iterator[Sample]:
        for lane, depth in self._ports.queue_health.depth(project).items():
            yield Sample(gauge="labelloop_queue_depth", labels=(project, lane), value=depth)

    def _requirements(self, project: str) -> Iterator[Sample]:
        uncovered = sum(one["uncovered"] for one in requirements(self._ports, project))
        yield Sample(gauge="labelloop_uncovered_items", labels=(project,), value=uncovered)

    def _ranks(self, project: str) -> Iterator[Sample]:
        for lane, gap in self._ports.rounds.gaps(project).items():
            yield Sample(gauge="labelloop_rank_gap", labels=(project, lane, "mean"), value=gap.mean)
            yield Sample(gauge="labelloop_rank_gap", labels=(project, lane, "most"), value=gap.most)

    def _rounds(self, project: str) -> Iterator[Sample]:
        serving = self._ports.rounds.serving(project)
        count = serving.stats.get("fallbacks", 0) if serving else 0
        yield Sample(gauge="labelloop_fallback_rounds", labels=(project,), value=float(str(count)))

    def _jobs(self, project: str) -> Iterator[Sample]:
        for kind in JobKind:
            states = Counter(job.state for job in self._ports.jobs.recent(project, kind, LATEST_JOBS))
            for state, count in states.items():
                yield Sample(gauge="labelloop_jobs", labels=(project, kind, state), value=count)

    def _models(self, project: str) -> Iterator[Sample]:
        for state, count in Counter(model.state for model in self._ports.models.all(project)).items():
            yield Sample(gauge="labelloop_models", labels=(project, state), value=count)
