"""Every error labelloop raises on purpose.

    LabelloopError
    ├── NotFound                 the thing named does not exist
    │   ├── UnknownProject
    │   ├── UnknownItem
    │   ├── UnknownModel
    │   ├── UnknownRound
    │   ├── UnknownEdition
    │   └── UnknownJob
    ├── Invalid                  the request or a file is wrong; nothing was changed
    │   ├── InvalidProject
    │   ├── InvalidItems
    │   └── InvalidFeatures
    ├── Conflict                 it collides with what is there
    │   ├── ProjectExists
    │   ├── FixedForGood
    │   └── IdempotencyMismatch
    ├── Refused                  allowed in general, not now or not for you
    │   ├── NotAllowed
    │   ├── NotAuthenticated
    │   ├── TooLarge
    │   └── TooOften
    ├── CannotTrain              no model can come of these labels; the job ends, the loop goes on
    ├── StrategyFailed           a query strategy raised, or answered what is no answer; the round goes on by margin
    ├── BadArtifact              a model file is damaged, foreign, or of another version
    └── Unavailable              the store or the queue does not answer; try again

An error carries a sentence that says what was wrong and what to do next, and the ids it is about. `slug` is its
name on the wire. HTTP status and retry-or-not are looked up by class at the doors, never here.
"""

import re
from typing import Any, ClassVar


class LabelloopError(Exception):
    """Base of all. `detail` is for people; `ids` are for programs."""

    slug: ClassVar[str] = "error"

    def __init_subclass__(cls) -> None:
        """Name the class on the wire: UnknownProject → unknown-project."""
        cls.slug = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    def __init__(self, detail: str, **ids: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.ids = ids


class NotFound(LabelloopError):
    """The thing named does not exist."""


class UnknownProject(NotFound):
    """No project has this name."""

    def __init__(self, name: str, known: list[str] | None = None) -> None:
        listed = f" Known projects: {', '.join(known)}." if known else " There are no projects yet."
        super().__init__(
            f"There is no project {name!r}.{listed} Create one with `labelloop project create FILE`.", project=name
        )


class UnknownItem(NotFound):
    """The project has no such item."""


class UnknownModel(NotFound):
    """The project has no such model."""


class UnknownRound(NotFound):
    """The project has no round with this number."""


class UnknownEdition(NotFound):
    """The project's file has no edition with this number."""


class UnknownJob(NotFound):
    """There is no such job."""


class NoMap(NotFound):
    """The pool of the project has not been drawn yet."""


class Invalid(LabelloopError):
    """The request or a file is wrong; nothing was changed."""


class InvalidProject(Invalid):
    """A project file that cannot be understood; names the key and what is known there."""


class InvalidItems(Invalid):
    """Nothing of what was sent could be read as items."""


class InvalidFeatures(Invalid):
    """Items that cannot be turned into numbers: a missing column, NaN, an unreadable picture."""


class Conflict(LabelloopError):
    """It collides with what is there."""


class ProjectExists(Conflict):
    """A project of this name exists with another content, or is still being deleted."""


class FixedForGood(Conflict):
    """A key of a project file that items, labels or the audit are bound to already."""


class IdempotencyMismatch(Conflict):
    """This Idempotency-Key was used before with another body."""


class Refused(LabelloopError):
    """Allowed in general, not now or not for this caller."""


class NotAllowed(Refused):
    """The key's role or project does not cover this call."""


class NotAuthenticated(Refused):
    """No key, or a key nobody knows."""


class TooLarge(Refused):
    """The body or the count asked for is over the limit."""


class TooOften(Refused):
    """Asked for more often than the project allows. `retry_after` says in how many seconds it may be asked again."""

    def __init__(self, detail: str, *, retry_after: float = 1.0, **ids: Any) -> None:
        super().__init__(detail, retry_after=retry_after, **ids)
        self.retry_after = retry_after


class CannotTrain(LabelloopError):
    """No model can come of these labels; the job ends, the loop goes on."""


class StrategyFailed(LabelloopError):
    """A query strategy raised, or answered what is no answer; the round goes on by margin."""


class BadArtifact(LabelloopError):
    """A model file is damaged, foreign, or of another version."""


class Unavailable(LabelloopError):
    """The store or the queue does not answer; try again."""
