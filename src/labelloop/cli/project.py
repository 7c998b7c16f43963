"""`labelloop project`: create, change, show, list, delete, and the schema of a project file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelloop.cli import console, telling, words
from labelloop.cli.console import AsJson
from labelloop.cli.opening import opened

if TYPE_CHECKING:
    from labelloop.projects import Project

app = typer.Typer(help="Create, change, look at and delete projects.", no_args_is_help=True, rich_markup_mode=None)


PATIENCE_SECONDS = 60.0
"""How long `delete` waits for a worker in the middle of a job."""
ProjectFile = Annotated[Path, typer.Argument(help="A project file, TOML or JSON. See configs/projects.")]


@app.command()
def check(file: ProjectFile, *, as_json: AsJson = False) -> None:
    """Say whether a project file is good, and what it comes to with all defaults. Nothing is created or opened."""
    from labelloop import schema as labeling
    from labelloop.adapters.estimators import EstimatorKinds
    from labelloop.loop import create as creating

    found = _read(file)
    creating.check(EstimatorKinds(), found)
    sections = found.model_dump(mode="json")
    sections["model"]["self_training"] = found.guessing.model_dump() if found.guessing is not None else None
    if as_json:
        console.emit(sections)
        return
    console.table(found.name, ["", ""], [(key, _brief(_exact(part))) for key, part in sections.items() if part])
    if not labeling.of(found).classes:
        console.note("Its labels are no plain classes: people can label by it, and no model is trained.")
    console.note(f"{file} is good. Next: labelloop project create {file}")


@app.command()
def create(file: ProjectFile, *, as_json: AsJson = False) -> None:
    """Create a project from its file. The same file again is no error."""
    from labelloop.loop import create as creating

    found = _read(file)
    with opened() as ports:
        creating.create(ports, found, by=words.me())
    if as_json:
        console.emit(found.model_dump(mode="json"))
    else:
        file_of_items = "" if found.source else " FILE"
        console.line_of(f"Created the project {found.name}. Next: labelloop ingest {found.name}{file_of_items}")


@app.command()
def update(
    file: ProjectFile,
    *,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a changed project file in force, while people go on labeling. What it did not change stays as it is.

    Once there are items, classes may be added behind the others, and the seed, the features and what the audit was
    drawn by cannot be changed.
    """
    from labelloop.loop import update as updating

    found = _read(file)
    with opened() as ports:
        told = updating.update(ports, found, by=words.me(), dry=dry)
    if as_json:
        console.emit(told)
        return
    if not told.differences:
        console.say(f"{file} says nothing new: edition {told.edition} of {found.name} is in force.")
        return
    console.table(found.name, ["key", "before", "after"], [_difference(one) for one in told.differences])
    if dry:
        console.note(f"Nothing was changed. To put it in force: labelloop project update {file}")
        return
    console.note(f"Edition {told.edition} is in force.")
    if told.reorders:
        console.note("The queue gets its new order as soon as a sampler has made it; until then the one before serves.")
    if told.retrains:
        console.note(f"The champion is of the file before. To train by this one now: labelloop retrain {found.name}")


@app.command()
def history(name: words.Name, *, as_json: AsJson = False) -> None:
    """The editions of a project's file: since when, by whom, and what was changed."""
    from labelloop.loop import update as updating

    with opened() as ports:
        found = updating.history(ports, name)
    if as_json:
        console.emit(found)
        return
    rows = [(one["edition"], one["created_at"], one["by"] or "–", _changed(one["differences"])) for one in found]
    console.table(name, ["edition", "since", "by", "changed"], rows)


@app.command()
def file(
    name: words.Name,
    *,
    edition: Annotated[int | None, typer.Option(min=1, help="Another one than that in force.")] = None,
) -> None:
    """The project's file as JSON, with all defaults: to keep, to change and to give to `project update`."""
    with opened() as ports:
        console.emit(ports.projects.get(name, edition).model_dump(mode="json"))


@app.command()
def show(name: Annotated[str, typer.Argument(help="The project.")], *, as_json: AsJson = False) -> None:
    """Counts by state and lane, champion, budget, last rounds and trainings.

    Below: how far annotators agree on items that several answered, and how many predictions the last training changed.
    """
    from labelloop.loop.agreement import agreement
    from labelloop.loop.report import status

    with opened() as ports:
        report = {**status(ports, name), "agreement": agreement(ports, name)}
    if as_json:
        console.emit(report)
        return
    rows = [(key, _brief(value)) for key, value in console.plain(report).items() if key not in telling.SENTENCES]
    console.table(name, ["", ""], rows)
    for sentence in telling.sentences(report):
        console.line_of(sentence)
    for one in report["requirements"]:
        if one["uncovered"]:
            asked = " + ".join(one["requires"])
            console.note(
                f"[yellow]{one['uncovered']} items wait for an annotator with {asked}, and no key carries that. "
                "Make one (labelloop key create --subject NAME --skill …), or let somebody's carry it (labelloop key "
                "skills ID --skill …).[/yellow]"
            )


@app.command()
def classes(name: Annotated[str, typer.Argument(help="The project.")], *, as_json: AsJson = False) -> None:
    """Of each class: labels, what is missing, what the minority lane brought beside chance, and how mute the model is.

    Mute is a model about a class that the labels are short of and that it names for hardly any item: then the lane's
    share grows. Below: that share, and what came of each of the lane's ways of finding.
    """
    from labelloop.loop.classes import classes_of

    with opened() as ports:
        found = classes_of(ports, name)
    if as_json:
        console.emit(found)
        return
    heads = ["class", "labels", "share", "target", "missing", "asked", "came", "by chance", "mute"]
    console.table(name, heads, [_class_row(one) for one in found["classes"]])
    lane = found["minority"]
    console.note(f"The minority lane has {lane['share']:.0%} of what is handed out.")
    if lane["ways"]:
        heads = ["way of finding", "answers", "came"]
        console.table("", heads, [(one["way"], one["answers"], one["came"]) for one in lane["ways"]])
    if not found["audit"]:
        console.note("What chance would have brought is told by the audit lane, which has no answers yet.")


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """All projects."""
    with opened() as ports:
        rows = [ports.projects.row(name) for name in ports.projects.names()]
    if as_json:
        console.emit(rows)
        return
    console.table(
        "",
        ["project", "state", "items", "votes", "champion", "round"],
        [(row.name, row.state, row.items, row.spent, row.champion, row.round) for row in rows],
    )


@app.command()
def delete(
    name: Annotated[str, typer.Argument(help="The project.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a project for good: items, answers, models, files, and the keys that are limited to it.

    Export it before: labelloop export NAME -o labels.jsonl. Nobody gets its items from that moment on, and answers to
    open leases are not taken any more. Run it again after an interruption; the steward of a running service goes on,
    too. Afterwards the name is free for another project.
    """
    from labelloop.cli.deleting import asked, told
    from labelloop.loop import delete as deleting

    with opened() as ports:
        if not yes:
            asked(name, ports.removals.extent(name))
        done = deleting.delete(ports, name, seconds=float("inf"), patience=PATIENCE_SECONDS)
    if as_json:
        console.emit(deleting.summary(done))
    else:
        told(done)


@app.command()
def schema() -> None:
    """The JSON Schema of a project file, for editors."""
    from labelloop.projects import json_schema

    console.emit(json_schema())


def _difference(one: Any) -> tuple[str, str, str]:
    return one.key, _value(one.before), _value(one.after)


def _changed(found: list[dict[str, Any]]) -> str:
    return "\n".join(f"{one['key']}: {_value(one['before'])} → {_value(one['after'])}" for one in found) or "–"


def _value(value: Any) -> str:
    """What a key of a project file says, for one cell."""
    if value in (None, "", [], {}):
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else _flat(_exact(value))


def _class_row(one: dict[str, Any]) -> tuple[Any, ...]:
    minority = one["lanes"]["minority"]
    shares = ["–" if one[part] is None else f"{one[part]:.1%}" for part in ("share", "target")]
    share, chance = minority["share"], minority["by_chance"]
    came = f"{minority['came']}" + (f" ({share['low']:.0%} to {share['high']:.0%})" if share else "")
    mute = "–" if one["mute"] is None else f"{one['mute']:.0%}"
    by_chance = f"{chance['mean']:.1f} ({chance['low']:.1f} to {chance['high']:.1f})" if chance else "–"
    return (one["class"], one["labels"], *shares, one["missing"] or "–", minority["asked"], came, by_chance, mute)


def _read(file: Path) -> "Project":
    from labelloop import projects

    return projects.parse(_json(file), origin=str(file)) if file.suffix == ".json" else projects.load(file)


def _json(file: Path) -> Any:
    import json

    from labelloop.domain.errors import InvalidProject

    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidProject(f"{file}: cannot be read ({error.strerror}). Give the path of a project file.") from None
    except ValueError as error:
        raise InvalidProject(f"{file}: is not valid JSON: {error}.") from None


def _exact(value: Any) -> Any:
    """The same without what says nothing, and with numbers as the file has them."""
    if isinstance(value, dict):
        return {key: _exact(entry) for key, entry in value.items() if entry not in (None, {}, [], "")}
    return f"{value:g}" if isinstance(value, float) else value


def _brief(value: Any) -> str:
    """One cell: nested values on lines of their own, lists by their last entries."""
    if isinstance(value, dict) and not {"mean", "low", "high"} <= set(value):
        return "\n".join(f"{key}: {_flat(entry)}" for key, entry in value.items()) or "–"
    if isinstance(value, list):
        return "\n".join(_flat(entry) for entry in value[:5]) or "–"
    return console.shown(value)


def _flat(value: Any) -> str:
    if isinstance(value, dict) and not {"mean", "low", "high"} <= set(value):
        return ", ".join(f"{key} {_flat(entry)}" for key, entry in value.items() if entry not in (None, {}, []))
    return console.shown(value)
