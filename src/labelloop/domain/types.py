"""The values that cross the walls between rooms: frozen, plain, named by the glossary.

An item is known by its *number* inside its project: dense, from 0, in order of arrival. Numbers index the
feature shards and the byte state in Redis, so nothing needs a lookup table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, NewType, TypedDict

from labelloop.domain.skills import Skills
from labelloop.domain.states import (
    Bound,
    ItemState,
    JobKind,
    JobState,
    LabelSource,
    Lane,
    ModelState,
    Outcome,
    ProjectState,
    Role,
)

ItemNumber = NewType("ItemNumber", int)
LeaseId = NewType("LeaseId", int)
"""Number of an assignment. It grows, so it is also the fence: an older lease of the same item is smaller."""
ModelNumber = NewType("ModelNumber", int)
RoundNumber = NewType("RoundNumber", int)
JobId = NewType("JobId", str)
"""`{kind}-{project}-{number}`: letters, digits, `_` and `-` only, as rq demands."""
Subject = NewType("Subject", str)
"""Whom a key stands for: the annotator's name in leases and annotations."""

Json = Any
"""A value that came from, or goes to, JSON."""


# --- items -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """An item on its way into the pool; `line` is its place in what the user sent, from 1.

    `needed`: votes it gets at first; None leaves that to the project file. `requires`: skills that whoever answers it
    must have, all of them. `synthetic`: made up, with a label; it serves training only, and its metadata say so
    wherever it is shown.
    """

    key: str
    data: Mapping[str, Json]
    label: str | None = None
    gold: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    needed: int | None = None
    requires: tuple[str, ...] = ()
    synthetic: bool = False
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidLine:
    """A line that did not go in, and what to do about it."""

    line: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What became of the lines of one ingest: received = added + duplicates + those that did not go in.

    `invalid` names the first of these. `labeled` counts items that waited in the pool until a duplicate brought their
    label.
    """

    received: int = 0
    added: int = 0
    duplicates: int = 0
    labeled: int = 0
    invalid: tuple[InvalidLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item of the pool as the store knows it. `metadata["retired"]` says why one was retired by the loop."""

    number: ItemNumber
    key: str
    data: Mapping[str, Json]
    state: ItemState
    label: str | None = None
    gold: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    duplicate_of: ItemNumber | None = None


class ExportRow(TypedDict):
    """An answered item, or a copy of one, as it leaves: its columns, in this order, whoever writes the row.

    `duplicate_of` is the key of the item whose label it has and `similarity` how like it is (1 for an exact copy); both
    None where somebody answered the item itself.
    """

    item: int
    key: str
    duplicate_of: str | None
    similarity: float | None
    data: Mapping[str, Json]
    metadata: Mapping[str, Json]
    label: str | None
    value: Json
    source: str
    confidence: float | None
    gold: str | None
    resolved_at: str | None
    annotations: list[Mapping[str, Json]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCounts:
    """A partition of the ingested items, taken in one transaction.

    pooled + queued + leased + resolved + disputed + retired = ingested. *pooled* here means: waiting, neither in
    the serving round nor leased.
    """

    ingested: int
    pooled: int
    queued: int
    leased: int
    resolved: int
    disputed: int
    retired: int

    @property
    def conserved(self) -> bool:
        """Whether the parts add up to the whole."""
        parts = self.pooled + self.queued + self.leased + self.resolved + self.disputed + self.retired
        return parts == self.ingested


# --- dispatch ----------------------------------------------------------------------------------------------


class Query(NamedTuple):
    """A request for `needed` votes on one item in one round, with why it is asked.

    `rank` is its planned place in its lane, from 0; `probability` the probability with which it was selected
    (1 for a deterministic choice). `priority` is an engineer's word (states.Priority.level): it goes before rank.
    `requires` is the number of the item's requirement, 0 for none (domain.skills).
    """

    item: ItemNumber
    lane: Lane
    rank: int
    score: float
    probability: float
    needed: int = 1
    priority: int = 0
    requires: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RankGap:
    """How far the order served of a lane is from the order planned, over the items served so far.

    The gap of one item is its served rank minus its planned one; `mean` and `most` are of its absolute value.
    """

    served: int
    mean: float
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What Redis proposes to lease: an item of a lane. SQL disposes."""

    item: ItemNumber
    lane: Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """An annotator's wish for up to `count` items, of the disputed ones when `review`.

    `pulls`: how many pulls a minute the project allows an annotator; None leaves this one uncounted. `covers`: the
    numbers of the requirements that the annotator fulfils; other items that require something are not proposed.
    """

    annotator: Subject
    count: int
    review: bool = False
    pulls: int | None = None
    covers: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What Redis proposes to lease to one annotator, who carries these skills."""

    annotator: Subject
    candidates: Sequence[Candidate]
    skills: Skills = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A granted lease. The wire calls `id` "lease"; `prediction` is the champion's label, where shown."""

    id: LeaseId
    item: ItemNumber
    key: str
    data: Mapping[str, Json]
    lane: Lane
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What came of a proposal; `bound` says what would keep this annotator from other items, too."""

    leases: list[Lease]
    bound: Bound | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer an annotator hands in. `label` is a class, `result` a Label Studio result, kept as it is.

    `value` is what votes are compared by: the label, or the digest of a result.
    """

    lease: LeaseId
    value: str
    label: str | None = None
    result: Json = None
    seconds: float | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The answers of one call by one annotator, whose key has this role.

    A LeaseOutcome among the answers was already rejected by the caller and is passed through, so that the stored reply
    of an Idempotency-Key is whole. `idempotency` is that key and the digest of the body.
    """

    annotator: Subject
    role: Role
    answers: Sequence["Answer | LeaseOutcome"]
    idempotency: tuple[str, str] | None = None


UNKNOWN_LEASE = "no such lease of yours; ask for a new batch"
"""Why nothing is done about a lease that is another's, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseOutcome:
    """The fate of one request about a lease: submit, renew, release or skip.

    `item` is None when the lease is unknown or not the caller's. `expires_at` is set by renew only.
    """

    lease: str
    outcome: Outcome
    item: ItemNumber | None = None
    reason: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotState:
    """What SQL holds about one open item, for the Redis index: votes done, leases live, who may not get it."""

    item: ItemNumber
    needed: int
    done: int
    live: tuple[tuple[Subject, datetime], ...]
    excluded: tuple[Subject, ...]
    requires: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One counted annotation as the maths sees it."""

    annotator: Subject
    value: str
    label: str | None
    role: Role = Role.ANNOTATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """The counted votes on one item that waits for `resolve`."""

    item: ItemNumber
    needed: int
    votes: tuple[Vote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What resolve decides on a ballot: RESOLVED with a label, DISPUTED, or POOLED with more votes `needed`."""

    item: ItemNumber
    state: ItemState
    needed: int
    value: str | None = None
    label: str | None = None
    confidence: float | None = None
    votes: int = 0
    source: LabelSource = LabelSource.VOTES


# --- rounds, models, jobs ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One planned ranking. `model` is None at cold start. `stats` says what was asked: per lane and class."""

    number: RoundNumber
    strategy: str
    seed: int
    model: ModelNumber | None
    pool_version: int
    created_at: datetime
    queries: int
    stats: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A measured number with its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """An immutable list of (item, label), known by its digest."""

    number: int
    digest: str
    items: Sequence[ItemNumber]
    labels: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One trained artifact of the registry.

    `metrics`: {"accuracy": {"mean","low","high"}, "macro_f1": …, "calibration_error": …, "audit_items": int,
    "per_class": {class: {"precision", "recall", "f1": estimates, "support": int}}} or {} where nothing could be
    measured. `reason` says why a gate refused or passed. `labels` counts the training set, `spent` the votes
    counted in the project when the training set was taken.
    """

    number: ModelNumber
    state: ModelState
    training_set: str
    artifact: str
    labels: int
    spent: int
    metrics: Mapping[str, Json]
    reason: str
    created_at: datetime
    provenance: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A wish kept in SQL, so that no crash can lose it; rq only carries its id.

    `due_key` is unique per project and kind: asking twice for the same due condition gives the same job.
    `attempt` counts how often it was handed to a worker; a worker may only speak for the attempt it claimed.
    """

    id: JobId
    project: str
    kind: JobKind
    due_key: str
    reason: str
    state: JobState
    attempt: int
    progress: float
    message: str
    result: Mapping[str, Json] | None
    problem: Mapping[str, Json] | None
    created_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRow:
    """What the store knows of a project beside its file; `requirements` counts the different ones of its items,
    `edition` is the one of its file that is in force.
    """

    name: str
    state: ProjectState
    pool_version: int
    items: int
    spent: int
    audit_threshold: int | None
    champion: ModelNumber | None
    round: RoundNumber | None
    created_at: datetime
    requirements: int = 0
    edition: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One of the files that a project had, by its number from 1; `by` is who put it in force, None if nobody knows."""

    number: int
    by: Subject | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What there is of a project: what goes when it is deleted. `keys` are those that are limited to it."""

    items: int
    annotations: int
    models: int
    keys: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A project that is being deleted. `new` where it was marked a moment ago.

    `buried` when only a tombstone is left of it in SQL and its name is free.
    """

    id: int
    name: str
    created_at: datetime
    buried: bool
    new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A set of skills that items of a project require, all of them, and how many of those items are open.

    Items that wait for votes need anybody who carries the skills, disputed ones a reviewer.
    """

    number: int
    skills: Skills
    pooled: int = 0
    disputed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who calls: the subject, role and skills of a key, and the one project it is limited to, if any."""

    subject: Subject
    role: Role
    project: str | None = None
    skills: Skills = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A key as the store knows it: by the HMAC of its text, whose first digits name it where people speak of it."""

    digest: str
    identity: Identity
    created_at: datetime
    revoked_at: datetime | None = None

    @property
    def id(self) -> str:
        """What people call it: enough digits to tell it from any other, and none of the key itself."""
        return self.digest[:12]
