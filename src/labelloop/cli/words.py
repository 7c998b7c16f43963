"""Arguments that many commands share, and who is calling."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # opening nothing keeps `--help` fast
    from collections.abc import Sequence

    from labelloop.domain.types import Identity, Subject

Name = Annotated[str, typer.Argument(metavar="PROJECT", help="The project.")]
Who = Annotated[str | None, typer.Option("--as", help="The annotator's name; your login name if left out.")]
Carried = Annotated[
    list[str] | None, typer.Option("--skill", help="A skill the annotator has, such as lang:de; once for each.")
]


def me(name: str | None = None) -> "Subject":
    """Whoever has the database open may do everything; the name is for the record."""
    from labelloop.domain.types import Subject

    try:
        return Subject(name or getpass.getuser())
    except (KeyError, OSError):  # a user id without a name, as in containers
        return Subject("owner")


def identity(name: str | None, *, review: bool = False, carried: "Sequence[str] | None" = None) -> "Identity":
    """The caller as an annotator, or as a reviewer, with these skills."""
    from labelloop.domain import skills
    from labelloop.domain.states import Role
    from labelloop.domain.types import Identity

    role, has = Role.REVIEWER if review else Role.ANNOTATOR, skills.read(carried or (), most=skills.MOST_CARRIED)
    return Identity(subject=me(name), role=role, skills=frozenset(has))
