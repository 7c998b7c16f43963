"""Structured logs and Prometheus metrics of one process: how they are set up and what they are called.

What is measured where is the business of the doors and the workers; this module only owns the names.
"""

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the latency buckets, in seconds."""

COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "labelloop_requests": ("HTTP requests answered.", ("operation", "status")),
    "labelloop_leases": ("Leases by what became of them.", ("project", "outcome")),
    "labelloop_annotations": ("Answers by outcome.", ("project", "outcome")),
    "labelloop_items_ingested": ("Items sent, by what became of them.", ("project", "outcome")),
}
"""Counter → what it counts and its labels; on the wire each name ends in `_total`."""

GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "labelloop_items": ("Items by where they stand; the states add up to what was ingested.", ("project", "state")),
    "labelloop_queue_depth": ("Queries that wait in the queue.", ("project", "lane")),
    "labelloop_rank_gap": (
        "How far the order served is from the order planned, in the serving round: mean and most of the ranks between.",
        ("project", "lane", "of"),
    ),
    "labelloop_jobs": ("The latest jobs of each kind by state.", ("project", "kind", "state")),
    "labelloop_models": ("Models by state.", ("project", "state")),
    "labelloop_spent_votes": ("Votes counted against the budget.", ("project",)),
    "labelloop_pool_version": ("How often items were added.", ("project",)),
    "labelloop_uncovered_items": ("Open items that require skills which no active key carries.", ("project",)),
    "labelloop_fallback_rounds": (
        "Rounds so far that another order than the project's strategy stood in for, because it could not be believed.",
        ("project",),
    ),
    "labelloop_paused": ("1 while a project hands out no work.", ("project",)),
    "labelloop_scrape_errors": ("Parts of this scrape that could not be measured.", ("part",)),
}
"""Gauge → what it measures and its labels; measured when somebody asks."""

LATENCY = ("labelloop_request_seconds", "Time from the request's head to the end of the answer.", ("operation",))

METRICS: Mapping[str, str] = (
    {f"{name}_total": text for name, (text, _) in COUNTERS.items()}
    | {name: text for name, (text, _) in GAUGES.items()}
    | {LATENCY[0]: LATENCY[1]}
)
"""Every metric by its name on the wire, for the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of a gauge; `labels` in the order that GAUGES gives."""

    gauge: str
    labels: tuple[str, ...]
    value: float


class Sampler(Protocol):
    """Measures every gauge when Prometheus asks."""

    def __call__(self) -> Iterable[Sample]:
        """The samples of now."""
        ...


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one application; each has a registry of its own, so that two can live in one process."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    counters: dict[str, Counter] = field(default_factory=dict)
    latency: dict[str, Histogram] = field(default_factory=dict)
    _series: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Register what is counted as it happens."""
        for name, (text, labels) in COUNTERS.items():
            self.counters[name] = Counter(name, text, labels, registry=self.registry)
        name, text, labels = LATENCY
        self.latency[name] = Histogram(name, text, labels, buckets=LATENCIES, registry=self.registry)

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """Add to a counter; nothing appears for a count of zero."""
        if by:
            self._of(self.counters[name], name, labels).inc(by)

    def observe(self, operation: str, seconds: float) -> None:
        """Note how long one request took."""
        self._of(self.latency[LATENCY[0]], LATENCY[0], (operation,)).observe(seconds)

    def _of(self, metric: Any, name: str, labels: tuple[str, ...]) -> Any:
        """The series with these labels, remembered: to look it up costs as much as to answer a small request."""
        known = self._series.get((name, *labels))
        if known is None:
            known = self._series[name, *labels] = metric.labels(*labels)
        return known

    def measure_with(self, sampler: Sampler) -> None:
        """Ask `sampler` for the gauges at every scrape."""
        self.registry.register(_Gauges(sampler))

    def expose(self) -> bytes:
        """Everything in the text format of Prometheus."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def describe(self) -> Iterator[GaugeMetricFamily]:
        for name, (text, labels) in GAUGES.items():
            yield GaugeMetricFamily(name, text, labels=labels)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families = {family.name: family for family in self.describe()}
        for sample in self._sampler():
            families[sample.gauge].add_metric(sample.labels, sample.value)
        yield from families.values()


def configure(*, log_format: str = "console", level: str = "info") -> None:
    """Send structlog and the standard library's loggers to standard error, for people or as JSON lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("alembic", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))  # they report each step and request
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"  # the service writes its own request log


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def _rendering(log_format: str) -> list[Any]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # Plain: a traceback that shows local variables is slow, and would write keys and item data into the log.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
