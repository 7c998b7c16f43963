"""`labelloop key`: API keys for people and programs. A key is shown once; only its HMAC is kept."""

from typing import TYPE_CHECKING, Annotated

import typer

from labelloop.cli import console
from labelloop.cli.console import AsJson
from labelloop.cli.opening import opened, settings
from labelloop.domain.states import Role

if TYPE_CHECKING:
    from labelloop.domain.types import KnownKey
    from labelloop.ports import Ports

app = typer.Typer(help="Create, list, change and revoke API keys.", no_args_is_help=True, rich_markup_mode=None)
Named = Annotated[str, typer.Argument(metavar="KEY", help="Its id, as `key list` shows it, or the key itself.")]


@app.command()
def create(
    *,
    subject: Annotated[str, typer.Option(help="Whom the key stands for: the annotator's name in leases and labels.")],
    role: Annotated[Role, typer.Option(help="What the key may do.")] = Role.ANNOTATOR,
    project: Annotated[str | None, typer.Option(help="The one project it is limited to.")] = None,
    skill: Annotated[
        list[str] | None, typer.Option(help="A skill the annotator has, such as lang:de; once for each.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it, once."""
    from labelloop.api.keys import digest_key, new_key
    from labelloop.domain import skills
    from labelloop.domain.types import Identity, Subject
    from labelloop.loop import keys

    made = new_key()
    digest, carried = digest_key(settings().hashing_secret, made), skills.read(skill or (), most=skills.MOST_CARRIED)
    with opened() as ports:
        identity = Identity(subject=Subject(subject), role=role, project=project, skills=frozenset(carried))
        kept = keys.keep(ports, identity, digest)
    if as_json:
        console.emit({"key": made, **keys.told(kept)})
    else:
        console.line_of(made)


@app.command("list")
def list_(
    *,
    subject: Annotated[str | None, typer.Option(help="Of this annotator only.")] = None,
    project: Annotated[str | None, typer.Option(help="Limited to this project only.")] = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked ones, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Who has a key: its id, whom it stands for, and what it may do. No key can be read from that."""
    from labelloop.loop import keys

    with opened() as ports:
        found = [keys.told(key) for key in keys.listed(ports, subject=subject, project=project, revoked=revoked)]
    if as_json:
        console.emit(found)
        return
    columns = ["id", "subject", "role", "project", "skills", "created_at", *(["revoked_at"] if revoked else [])]
    rows = [{**one, "project": one["project"] or "all", "skills": " ".join(one["skills"]) or None} for one in found]
    heads = [column.removesuffix("_at") for column in columns]
    console.table("", heads, [[row[column] for column in columns] for row in rows])


@app.command()
def revoke(
    key: Annotated[str | None, typer.Argument(help="Its id, as `key list` shows it, or the key itself.")] = None,
    *,
    subject: Annotated[str | None, typer.Option(help="Every key of this annotator instead.")] = None,
) -> None:
    """Revoke a key, or every key of somebody who leaves. A running service forgets them within seconds."""
    from labelloop.domain.errors import Invalid, NotFound
    from labelloop.loop import keys

    if (key is None) == (subject is None):
        raise Invalid("Name a key, by its id or its text, or `--subject` with whom all keys shall be revoked.")
    with opened() as ports:
        found = keys.listed(ports, subject=subject) if key is None else [_named(ports, key)]
        ended = [one for one in found if one.revoked_at is None]
        for one in ended:
            keys.revoke(ports, one)
    if not ended:
        who = "This key was revoked already." if key is not None else f"No key of {subject!r} opens anything."
        raise NotFound(f"{who} `labelloop key list` shows those that do.")
    for one in ended:
        console.line_of(f"Revoked {one.id}, {one.identity.role} {one.identity.subject}.")
    console.note("What its bearer holds comes back when the leases end.")


@app.command()
def skills(
    key: Named,
    *,
    skill: Annotated[list[str] | None, typer.Option(help="A skill, such as lang:de; once for each.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Take all skills away.")] = False,
) -> None:
    """Say what the bearer of a key can do from now on: these skills and no others."""
    from labelloop.domain.errors import Invalid
    from labelloop.loop import keys

    if bool(skill) == none:
        raise Invalid("Name all skills of the key, each by `--skill`, or `--none` to take them away.")
    with opened() as ports:
        changed = keys.equip(ports, _named(ports, key), skill or ())
    carried = ", ".join(sorted(changed.identity.skills)) or "none"
    console.line_of(f"Skills of {changed.identity.subject} on {changed.id}: {carried}.")


def _named(ports: "Ports", name: str) -> "KnownKey":
    """The key of this id, or with this text."""
    from labelloop.api.keys import PREFIX, digest_key
    from labelloop.loop import keys

    return keys.named(ports, digest_key(settings().hashing_secret, name) if name.startswith(PREFIX) else name)
