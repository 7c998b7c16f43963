"""The training cycle from a terminal, cron or Airflow: retrain, promote, models, export."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelloop.cli import console
from labelloop.cli.console import AsJson, Exit
from labelloop.cli.opening import opened
from labelloop.cli.words import Name, me
from labelloop.domain.states import Priority

if TYPE_CHECKING:  # opening nothing keeps `--help` fast
    from labelloop.domain.types import Job
    from labelloop.ports import Ports

POLL_SECONDS = 0.2
Form = Annotated[
    str | None,
    typer.Option("--format", help="jsonl, csv or parquet; by the ending of the file if left out, else jsonl."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="A file; standard output if left out.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (retrain, promote, models, prioritize, export, predict):
        app.command()(command)


def retrain(
    name: Name,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; the exit code says how it ended.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 3600.0,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key asks once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a training of PROJECT.

    Exit codes with --wait: 0 promoted, 3 the gate refused the new model, 4 no model could come of these labels,
    5 not ended in time (it goes on), 2 and others: errors.
    """
    from labelloop.loop.request import request_training

    with opened() as ports:
        job = request_training(ports, name, key=key)
        if wait:
            job = _follow(ports, job, timeout)
        report = _report(ports, job)
    overdue = wait and _code(report) is Exit.TIMEOUT
    if as_json:
        console.emit(report)
    elif not overdue:
        console.say(_sentence(report))
    if overdue:
        console.fail(_overdue(job, timeout, key))
    if wait:
        raise typer.Exit(_code(report))


def prioritize(
    name: Name,
    items: Annotated[list[int], typer.Argument(metavar="ITEM...", help="Numbers of items, as leases name them.")],
    *,
    priority: Annotated[Priority, typer.Option(help="Before or after all others of the lane, or as planned.")] = (
        Priority.FIRST
    ),
    by: Annotated[
        str | None, typer.Option("--as", help="Your name for the record; your login name if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask for single items of PROJECT first, last, or in their planned place again."""
    from labelloop.domain.states import Role
    from labelloop.domain.types import Identity, ItemNumber
    from labelloop.loop.prioritize import prioritize as set_priority

    who = Identity(subject=me(by), role=Role.ENGINEER)
    with opened() as ports:
        queued = set_priority(ports, name, who, [ItemNumber(item) for item in items], priority)
    if as_json:
        console.emit({"items": items, "priority": priority, "queued": queued})
    else:
        console.say(f"{queued} of {len(items)} stand in the queue; the others come with the next round.")


def promote(
    name: Name,
    number: Annotated[int, typer.Argument(help="The model's number; an older one rolls back.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Make a model the champion by hand, also to roll back."""
    from labelloop.cli.words import me
    from labelloop.domain.types import ModelNumber
    from labelloop.loop.promote import promote_by_hand

    with opened() as ports:
        model = promote_by_hand(ports, name, ModelNumber(number), by=me())
    if as_json:
        console.emit(model)
    else:
        console.say(f"Model {model.number} is the champion of {name}. The queue is ranked anew in the background.")


def models(name: Name, *, as_json: AsJson = False) -> None:
    """The models of PROJECT: labels, scores with intervals, and why each was promoted or refused."""
    with opened() as ports:
        ports.projects.row(name)
        found = ports.models.all(name)
    if as_json:
        console.emit(found)
        return
    rows = [
        (m.number, m.state, m.labels, m.metrics.get("accuracy"), m.metrics.get("macro_f1"), m.reason) for m in found
    ]
    console.table("", ["model", "state", "labels", "accuracy", "macro-F1", "why"], rows)


def export(
    name: Name,
    *,
    form: Form = None,
    output: Output = None,
    near: Annotated[
        float | None,
        typer.Option("--near-duplicates", help="Also waiting items so similar to an answered one, such as 0.98."),
    ] = None,
) -> None:
    """Export every label of PROJECT with its provenance."""
    from labelloop.cli.exporting import by_ending, write
    from labelloop.loop import together

    with opened() as ports:
        ports.projects.row(name)
        count = write(together.export(ports, name, near), form or by_ending(output), output)
    console.note(f"{count} labels" + (f" in {output}" if output else ""))


def predict(
    name: Name,
    *,
    form: Form = None,
    output: Output = None,
    model: Annotated[int | None, typer.Option(help="Another model than the champion, by its number.")] = None,
    least: Annotated[float, typer.Option(help="Leave out what the model is less sure of, such as 0.9.")] = 0.0,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="The probability of every class, too.")
    ] = False,
) -> None:
    """Write what the model of PROJECT says of every item that nobody answered.

    None of it is a label: it is kept nowhere, and no training sees it.
    """
    from labelloop.cli.exporting import by_ending, write
    from labelloop.domain.types import ModelNumber
    from labelloop.loop.predict import predict as rows_of

    with opened() as ports:
        number = None if model is None else ModelNumber(model)
        rows = rows_of(ports, name, model=number, least=least, every_class=probabilities)
        count = write(rows, form or by_ending(output), output)
    console.note(f"{count} predictions" + (f" in {output}" if output else ""))


def _follow(ports: "Ports", job: "Job", timeout: float) -> "Job":
    from labelloop.domain.states import JobState

    deadline = time.monotonic() + timeout
    with _progress(f"training {job.project}") as show:
        while job.state not in (JobState.DONE, JobState.FAILED) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            job = ports.jobs.get(job.id)
            show(job.progress, job.message)
    return job


@contextmanager
def _progress(title: str) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda done, message: bar.update(task, completed=done, description=f"{title}: {message}".rstrip(": "))


def _report(ports: "Ports", job: "Job") -> dict[str, Any]:
    """The job, and what became of its model."""
    model = ports.models.of_job(job.project, job.id)
    return {
        "job": job.id,
        "state": str(job.state),
        "result": job.result,
        "problem": job.problem,
        "model": None
        if model is None
        else {"number": model.number, "state": str(model.state), "reason": model.reason, "metrics": model.metrics},
    }


def _code(report: Mapping[str, Any]) -> Exit:
    if report["state"] == "failed":
        slug = (report["problem"] or {}).get("slug") or str((report["problem"] or {}).get("type", ""))
        return Exit.CANNOT_TRAIN if slug.endswith("cannot-train") else Exit.ERROR
    if report["state"] != "done":
        return Exit.TIMEOUT
    state = (report["model"] or {}).get("state")
    if state in ("champion", "retired"):  # retired: promoted, and followed by another since
        return Exit.OK
    return Exit.CANNOT_TRAIN if state in (None, "degenerate") else Exit.REFUSED


def _sentence(report: Mapping[str, Any]) -> str:
    if report["model"] is not None:
        model = report["model"]
        return f"Model {model['number']}: {model['state']}. {model['reason']}"
    if report["problem"] is not None:
        return f"The job {report['job']} failed: {report['problem'].get('detail', report['problem'])}"
    return (
        f"The job {report['job']} is {report['state']}. Follow it at /v1/jobs/{report['job']}; with --wait, this"
        " command waits for the end."
    )


def _overdue(job: "Job", timeout: float, key: str | None) -> str:
    """Why nothing may have come of a job in the time that was given, and what to look at."""
    from labelloop.cli import services
    from labelloop.cli.opening import settings
    from labelloop.domain.states import JobState

    head = f"Time ran out: after {timeout:g} s the job {job.id} is still {job.state}."
    alive = services.alive(settings())
    if alive is None:
        return (
            f"{head} Redis does not answer, so no worker hears of it: run `labelloop up`; `labelloop doctor` says more."
        )
    if missing := [kind for kind in ("trainer", "steward") if not alive[kind]]:
        commands = " and ".join(f"`labelloop worker {kind}`" for kind in missing)
        return (
            f"{head} No {' and no '.join(missing)} is alive, and nothing comes of it before one is: run `labelloop up`,"
            f" or {commands}. The job stays asked for."
        )
    at_work = "A trainer is at work on it."
    if job.state != JobState.RUNNING:
        count = "1 trainer is" if alive["trainer"] == 1 else f"{alive['trainer']} trainers are"
        at_work = f"{count} alive, and may be at work on another job."
    again = "run this again with the same --key" if key else f"look at /v1/jobs/{job.id}"
    return (
        f"{head} {at_work} It goes on. To know the end, {again}; `labelloop models {job.project}` shows what came of"
        " it, and the log of the trainer what holds it up."
    )
