"""Every closed set of names the loop speaks of: states, lanes, roles, outcomes."""

from enum import StrEnum


class ProjectState(StrEnum):
    """Whether a project hands out work. One that is being deleted, or was, is unknown to everybody."""

    ACTIVE = "active"
    PAUSED = "paused"
    DELETING = "deleting"
    DELETED = "deleted"

    @property
    def there(self) -> bool:
        """Whether it exists, as far as users are concerned."""
        return self in {ProjectState.ACTIVE, ProjectState.PAUSED}


class ItemState(StrEnum):
    """Where an item stands. *Leased* and *queued* are not states: they are facts about assignments and rounds."""

    POOLED = "pooled"
    RESOLVED = "resolved"
    DISPUTED = "disputed"
    RETIRED = "retired"


class Lane(StrEnum):
    """A stream of queries with its own purpose."""

    INFORMATIVE = "informative"
    MINORITY = "minority"
    AUDIT = "audit"
    REVIEW = "review"


class Priority(StrEnum):
    """An engineer's word about an item: before or after all others of its lane, or where the plan has it."""

    FIRST = "first"
    NORMAL = "normal"
    LAST = "last"

    @property
    def level(self) -> int:
        """Above 0 is sooner."""
        return {Priority.FIRST: 1, Priority.NORMAL: 0, Priority.LAST: -1}[self]


class AssignmentState(StrEnum):
    """What became of one lease."""

    LEASED = "leased"
    DONE = "done"
    SKIPPED = "skipped"
    RELEASED = "released"
    EXPIRED = "expired"


class Outcome(StrEnum):
    """What a submitted annotation, or another request about a lease, came to."""

    ACCEPTED = "accepted"
    LATE = "late"
    SURPLUS = "surplus"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class Bound(StrEnum):
    """What keeps an annotator from more leases, whichever items are proposed."""

    MOST = "most"
    BUDGET = "budget"


class Role(StrEnum):
    """What a key may do; each role may do all that the ones before it may."""

    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    ENGINEER = "engineer"
    ADMIN = "admin"

    def covers(self, other: "Role") -> bool:
        """Whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class ModelState(StrEnum):
    """The life of a model. Refused and degenerate models are kept, with the reason, and never serve."""

    CANDIDATE = "candidate"
    CHAMPION = "champion"
    RETIRED = "retired"
    REFUSED = "refused"
    DEGENERATE = "degenerate"


class JobKind(StrEnum):
    """What a job does: plan = score the pool and plan a round; train = train, measure, promote; map = draw the pool."""

    PLAN = "plan"
    TRAIN = "train"
    MAP = "map"


class JobState(StrEnum):
    """The life of a job. A running job whose worker fell silent becomes due again with the next attempt."""

    DUE = "due"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class LabelSource(StrEnum):
    """Where the label of a resolved item came from."""

    VOTES = "votes"
    REVIEW = "review"
    IMPORT = "import"
    SYNTHETIC = "synthetic"
