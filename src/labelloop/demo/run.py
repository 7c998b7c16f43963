"""One demo from an empty folder to the verdict: start, ingest, watch, check, measure, report, clean up."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from labelloop import wiring
from labelloop.adapters.files.sources import LabeledData, load_source
from labelloop.client import Client
from labelloop.demo import checks, comparison, evidence, report
from labelloop.demo.display import Display, display
from labelloop.demo.options import Options, project_of
from labelloop.demo.people import People
from labelloop.demo.service import Service
from labelloop.demo.watch import Snapshot, Watcher
from labelloop.domain.errors import Invalid, Unavailable
from labelloop.projects import Project
from labelloop.settings import Settings
from labelloop.simulation.run import run as simulate

LOOK_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the live part ended."""

    end: Snapshot
    in_time: bool
    seconds: float


def run(options: Options, console: Console | None = None) -> bool:
    """Run a demo. Returns whether everything held.

    Raises:
        LabelloopError: it could not begin: no such project, a home in use, a service that does not come up.
    """
    console = console or Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
    project = project_of(options)
    labeled = load_source(project, Settings().data)
    if not labeled.test:
        raise Invalid(f"{project.name} keeps no test set to measure on; give source.holdout, such as 0.3.")
    console.print(f"labelloop demo: {project.title or project.name}, {len(labeled.pool)} items", markup=False)
    with Service(options.home, options.port) as service:
        console.print(f"The service is up at {service.url} (log: {service.log})", markup=False)
        outcome = _live(service, options, project, labeled=labeled, console=console)
        held = _judge(service, options, project, labeled=labeled, outcome=outcome, console=console)
        if options.keep:
            _keep(service, console)
    return held


def _live(service: Service, options: Options, project: Project, *, labeled: LabeledData, console: Console) -> Outcome:
    """Ingest, let the annotators work, and wait until the budget is spent and the last training has ended."""
    began = time.monotonic()
    truth = {item.key: item.label or "" for item in labeled.pool}
    people = People(options.people, project=project.name, url=service.url, home=service.home, seed=project.seed)
    with service.client() as client, people, display(console, url=service.url, plain=options.plain) as shown:
        client.create_project(project.model_dump(mode="json"))
        client.ingest(project.name, [{"key": item.key, "data": dict(item.data)} for item in labeled.pool])
        people.start(client, truth)
        return _watch(service, client, people, project=project, shown=shown, limit=began + options.seconds_limit)


def _watch(
    service: Service, client: Client, people: People, *, project: Project, shown: Display, limit: float
) -> Outcome:
    began, watcher = time.monotonic(), Watcher(client, project.name)
    while time.monotonic() < limit:
        if not service.alive():
            raise Unavailable(f"The supervisor of the service ended; see {service.log}.")
        look = watcher.look()
        at_work = people.tend()
        if not look.exhausted or at_work:
            shown.show(look, "annotators at work" if look.models else "cold start")
        elif watcher.answers and look.quiet and look.all_trained:
            shown.show(look, "done")
            return Outcome(end=look, in_time=True, seconds=time.monotonic() - began)
        else:
            shown.show(look, "the last training")
            if watcher.answers and look.quiet:  # the last labels, fewer than a training is due for
                client.request_training(project.name, idempotency_key=f"demo-last-{look.counts['resolved']}")
        time.sleep(LOOK_SECONDS)
    return Outcome(end=watcher.look(), in_time=False, seconds=time.monotonic() - began)


def _judge(
    service: Service,
    options: Options,
    project: Project,
    *,
    labeled: LabeledData,
    outcome: Outcome,
    console: Console,
) -> bool:
    found = checks.check(outcome.end, in_time=outcome.in_time)
    report.print_checks(console, found, outcome.seconds)
    if not outcome.end.models:
        return False
    truth = {item.key: item.label or "" for item in labeled.pool}
    asked = _asked(service, project, truth)
    ports = wiring.build(service.settings)
    try:
        with (
            TemporaryDirectory(prefix="labelloop-demo-") as scratch,
            console.status("scoring the models on the test set"),
        ):
            points = evidence.score_models(ports, project, data_dir=Settings().data, folder=Path(scratch))
    finally:
        wiring.close(ports)
    if not points:
        return False
    strategy = comparison.strategy_name(project)
    with console.status("random sampling, by simulation") as status:
        simulation = simulate(
            project,
            strategies=[strategy, comparison.RANDOM],
            seeds=options.seeds,
            budget=max(point.labels for point in points),
            noise=asked.noise,
            data_dir=Settings().data,
            progress=lambda part, what: status.update(f"random sampling, by simulation: {part:.0%} ({what})"),
        )
    compared = comparison.compare(points, simulation, strategy)
    story = report.Story(
        project=project,
        end=outcome.end,
        checks=found,
        points=points,
        asked=asked,
        simulation=simulation,
        comparison=compared,
        url=service.url,
        seconds=outcome.seconds,
    )
    report.print_story(console, story)
    report.keep(story, options.out)
    report.print_places(console, story, options.out)
    return all(one.held for one in found)


def _asked(service: Service, project: Project, truth: Mapping[str, str]) -> evidence.Asked:
    with service.client() as client:
        return evidence.look_at_answers(project, client.export(project.name), truth)


def _keep(service: Service, console: Console) -> None:
    console.print(f"\nThe service goes on at {service.url}/ until Ctrl-C.", markup=False)
    console.print(f"  annotator key  {service.keys.annotator}", markup=False)
    console.print(f"  admin key      {service.keys.admin}", markup=False)
    service.wait()
