"""`labelloop key`: API keys for people and programs. A key is shown once; only its HMAC is kept."""

from typing import Annotated

import typer

from labelloop.cli import console
from labelloop.cli.console import AsJson
from labelloop.cli.opening import opened, settings
from labelloop.domain.states import Role

app = typer.Typer(help="Create and revoke API keys.", no_args_is_help=True, rich_markup_mode=None)


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

    made, secret = new_key(), settings().hashing_secret
    carried = skills.read(skill or (), most=skills.MOST_CARRIED)
    with opened() as ports:
        if project is not None:
            ports.projects.row(project)  # raises UnknownProject
        identity = Identity(subject=Subject(subject), role=role, project=project, skills=frozenset(carried))
        ports.keys.create(identity, digest_key(secret, made), ports.clock.now())
    if as_json:
        console.emit({"key": made, "subject": subject, "role": role, "project": project, "skills": carried})
    else:
        console.line_of(made)


@app.command()
def revoke(key: Annotated[str, typer.Argument(help="The key itself.")]) -> None:
    """Revoke a key. A running service forgets it within seconds."""
    from labelloop.api.keys import digest_key
    from labelloop.domain.errors import NotFound

    with opened() as ports:
        if not ports.keys.revoke(digest_key(settings().hashing_secret, key), ports.clock.now()):
            raise NotFound("Nobody knows this key, or it was revoked already.")
    console.say("Revoked.")
