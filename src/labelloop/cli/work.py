"""Work on a project from a terminal: ingest, lease, annotate."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from labelloop.cli import console
from labelloop.cli.console import AsJson
from labelloop.cli.opening import opened
from labelloop.cli.words import Carried, Name, Who, identity

SHOWN_INVALID = 5


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (ingest, lease, annotate):
        app.command()(command)


def ingest(
    name: Name,
    file: Annotated[
        Path | None,
        typer.Argument(help="CSV, TSV, JSON, JSONL, Parquet or NPZ; the project's own `source` if left out."),
    ] = None,
    *,
    label: Annotated[str | None, typer.Option(help="Column of the label; '' for none.")] = None,
    key: Annotated[str | None, typer.Option(help="Column of the key; '' for the row number.")] = None,
    requires: Annotated[str | None, typer.Option(help="Column of the skills an item requires.")] = None,
    without_labels: Annotated[
        bool, typer.Option("--without-labels", help="Leave labels behind: a labeled file as an unlabeled pool.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take items into the pool of PROJECT. Idempotent by key; a bad line is reported and the rest goes in."""
    from labelloop.cli.ingesting import Columns, take_in

    with opened() as ports:
        columns = Columns(label=label, key=key, requires=requires)
        report = take_in(ports, name, file, columns=columns, without_labels=without_labels)
    bad = report.received - report.added - report.duplicates  # `invalid` names the first thousand only
    if as_json:
        console.emit(report)
    else:
        console.say(f"{report.received} received, {report.added} added, {report.duplicates} duplicates, {bad} invalid")
        if report.labeled:
            console.say(f"{report.labeled} that waited in the pool have their label now")
        for wrong in report.invalid[:SHOWN_INVALID]:
            console.fail(f"line {wrong.line}: {wrong.error}")
    if report.received and bad == report.received:
        raise typer.Exit(console.Exit.ERROR)


def lease(
    name: Name,
    *,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many items.")] = 10,
    who: Who = None,
    review: Annotated[bool, typer.Option("--review", help="As a reviewer: disputed items first.")] = False,
    skill: Carried = None,
    as_json: AsJson = False,
) -> None:
    """Lease the best items of PROJECT."""
    from labelloop.loop.lease import lease as lease_verb

    with opened() as ports:
        batch = lease_verb(ports, name, identity(who, review=review, carried=skill), count)
    if as_json:
        leases = [
            {"lease": str(one.id), "item": one.item, "key": one.key, "data": one.data, "lane": one.lane}
            | {"expires_at": one.expires_at, "prediction": batch.predictions.get(one.id)}
            for one in batch.leases
        ]
        console.emit({"leases": leases, "retry_after": batch.retry_after, "reason": batch.reason})
        return
    if not batch.leases:
        console.say(f"Nothing to lease: {batch.reason}")
        return
    rows = [(one.id, one.key, one.lane, one.expires_at, _cut(one.data)) for one in batch.leases]
    console.table("", ["lease", "key", "lane", "expires", "data"], rows)


def annotate(
    name: Name,
    file: Annotated[
        Path | None,
        typer.Argument(help='JSON or JSON lines of {"lease", "label"}; `-` is standard input.', allow_dash=True),
    ] = None,
    *,
    who: Who = None,
    review: Annotated[bool, typer.Option("--review", help="As a reviewer: disputed items first.")] = False,
    skill: Carried = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key counts once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hand in answers, from a file or standard input; in a terminal without a file, label from the keyboard.

    Exit code 2 when none of them was taken.
    """
    from labelloop.cli import answering
    from labelloop.loop.annotate import annotate as annotate_verb

    me = identity(who, review=review, carried=skill)
    with opened() as ports:
        if file is None and sys.stdin.isatty():
            answering.by_hand(ports, name, me)
            return
        given = answering.read(file)
        found, replayed = annotate_verb(ports, name, me, given.answers, key=key)
    outcomes = answering.placed(found, given)
    if as_json:
        console.emit({"annotations": outcomes, "replayed": replayed})
    else:
        rows = [(one.lease or None, one.item, one.outcome, one.reason) for one in outcomes]
        console.table("the answer of the first time" if replayed else "", ["lease", "item", "outcome", "reason"], rows)
    if remedy := answering.remedy(outcomes, me, named=who is not None):
        console.fail(remedy)
    if outcomes and all(one.outcome == "rejected" for one in outcomes):
        console.fail(f"No answer was taken, of {len(outcomes)}. The reason of each stands beside it.")
        raise typer.Exit(console.Exit.ERROR)


def _cut(data: object, most: int = 80) -> str:
    text = " ".join(str(value) for value in data.values()) if isinstance(data, dict) else str(data)
    return text if len(text) <= most else text[: most - 1] + "…"
