"""Everything the loop asks of the world, on one page; `learning` and `order` are parts of it. Adapters name their port.

The store is one database behind several narrow ports; each call is one transaction. Times are aware UTC datetimes.
Projects are named by their `name`; asking for an unknown one raises UnknownProject everywhere.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from labelloop.domain.errors import IdempotencyMismatch
from labelloop.domain.skills import Skills
from labelloop.domain.states import JobKind, Lane, ModelState, Priority, ProjectState, Role
from labelloop.domain.types import (
    Ballot,
    Departure,
    Edition,
    ExportRow,
    Extent,
    Granted,
    Identity,
    IngestReport,
    Item,
    ItemNumber,
    Job,
    JobId,
    Json,
    KnownKey,
    Lease,
    LeaseId,
    LeaseOutcome,
    Model,
    ModelNumber,
    NewItem,
    PoolCounts,
    ProjectRow,
    Proposal,
    Query,
    RankGap,
    Requirement,
    Round,
    RoundNumber,
    SlotState,
    Subject,
    Submission,
    TrainingSet,
    Verdict,
)
from labelloop.maths.arrays import Ints
from labelloop.ports.learning import LAYOUTS as LAYOUTS
from labelloop.ports.learning import Artifacts as Artifacts
from labelloop.ports.learning import Classifier as Classifier
from labelloop.ports.learning import Estimators as Estimators
from labelloop.ports.learning import FeatureStore as FeatureStore
from labelloop.ports.learning import Folders as Folders
from labelloop.ports.learning import Layout as Layout
from labelloop.ports.learning import LayoutKind as LayoutKind
from labelloop.ports.learning import Layouts as Layouts
from labelloop.ports.learning import Maps as Maps
from labelloop.ports.learning import ScoreFiles as ScoreFiles
from labelloop.ports.order import Bus as Bus
from labelloop.ports.order import Claims as Claims
from labelloop.ports.order import Lock as Lock
from labelloop.ports.order import Queue as Queue
from labelloop.ports.order import QueueHealth as QueueHealth
from labelloop.projects import Project


class Clock(Protocol):
    """Time comes in here."""

    def now(self) -> datetime:
        """The time, aware, UTC."""


# --- the store -----------------------------------------------------------------------------------------------


class Projects(Protocol):
    """Project files and what is known of each beside its file."""

    def create(self, project: Project, now: datetime, *, by: Subject | None = None) -> None:
        """Keep a new project. The same file again is no error; another one under the name raises ProjectExists."""

    def get(self, name: str, edition: int | None = None) -> Project:
        """An edition of a project's file. None: the one in force, which is known for a second; who must know better
        takes the edition of the project's row. Raises UnknownEdition.
        """

    def change(
        self, project: Project, *, known: int, empty: bool = False, by: Subject, now: datetime, plan: str | None
    ) -> bool:
        """Put another file in force, as the next edition. False where `known` is not the edition in force any more, or
        where the project was to be `empty` and has items.

        `plan` is the reason of a wish for a new round, made in the same transaction; None: no wish.
        """

    def editions(self, name: str) -> list[Edition]:
        """Newest first."""

    def row(self, name: str) -> ProjectRow: ...

    def names(self) -> list[str]: ...

    def set_state(self, name: str, state: ProjectState) -> None: ...

    def fix_audit(self, name: str, threshold: int) -> int:
        """Set the audit threshold once; later calls change nothing. Returns the one in force."""


class Pool(Protocol):
    """The items of a project and their labels."""

    def add(self, name: str, items: Sequence[NewItem], now: datetime) -> IngestReport:
        """Take items in, in order, numbered onward.

        A known key is a duplicate and changes nothing. A new key with the data of a known item is kept, RETIRED, with
        `duplicate_of`, and counted as a duplicate. An item with a label goes straight to RESOLVED (source import, or
        synthetic where it is). The pool version grows when anything was added. `invalid` are items whose requirement is
        one more than a project may have; other checks come before.
        """

    def items(self, name: str, numbers: Sequence[ItemNumber]) -> list[Item]:
        """The items of these numbers, in the order asked; unknown numbers are left out."""

    def span(self, name: str, start: int, stop: int) -> list[Item]:
        """Items with start ≤ number < stop, by number: a shard, for the features."""

    def waiting(self, name: str) -> Ints:
        """Numbers (ascending, int32) of POOLED items that have neither a counted vote nor a live lease."""

    def labeled(self, name: str) -> tuple[Ints, list[str], Ints]:
        """Numbers (ascending), labels and sources of RESOLVED items that have a label: source 1 is import, else 0.

        Synthetic items are left out: who wants them asks for them by name.
        """

    def synthetic(self, name: str) -> tuple[Ints, list[str]]:
        """Numbers (ascending) and labels of the items that came in as synthetic."""

    def retire(self, name: str, reasons: Mapping[ItemNumber, str]) -> int:
        """Take out for good what is POOLED, or RESOLVED by a label that came with it; the reason is kept as `retired`
        in its metadata. Returns how many were.
        """

    def prioritize(
        self, name: str, numbers: Sequence[ItemNumber], priority: Priority, *, by: Subject, now: datetime
    ) -> list[ItemNumber]:
        """Set the priority of these items and note who did; returns those that are there, in order."""

    def preferred(self, name: str) -> Mapping[ItemNumber, int]:
        """Level of every POOLED item whose priority is not normal."""

    def requirements(self, name: str, count: int) -> Sequence[Skills]:
        """At least the first `count` requirements; that at place i has the number i + 1. They never change."""

    def required(self, name: str) -> tuple[Ints, Ints]:
        """Numbers (ascending, int64) of POOLED items that require skills, and the numbers of their requirements."""

    def unplanned(self, name: str) -> Mapping[int, int]:
        """By requirement (0: none): POOLED items that are neither in the serving round nor leased."""

    def open_requirements(self, name: str) -> list[Requirement]:
        """Every requirement with the count of its open items."""

    def counts(self, name: str) -> PoolCounts: ...

    def find(self, name: str, key: str) -> Item | None: ...


class Ledger(Protocol):
    """Who holds what and what they answered: the truth about dispatch. Vote caps are database constraints."""

    def grant_all(
        self,
        name: str,
        proposals: Sequence[Proposal],
        *,
        now: datetime,
        expires_at: datetime,
        most: int,
        budget: int | None = None,
    ) -> list[Granted]:
        """Lease those candidates that the constraints allow, for each proposal in order; refuse the rest.

        Refused: items no longer open, without a free slot, that require a skill the annotator has not, or that he
        holds, answered or skipped. `most` bounds each annotator's open leases, `budget` counted votes plus live leases
        of the project. Each lease is written with the serving round's model, strategy, score, planned rank, lane and
        selection probability.
        """

    def submit_all(
        self, name: str, submissions: Sequence[Submission], *, now: datetime
    ) -> list[tuple[list[LeaseOutcome], bool] | IdempotencyMismatch]:
        """Record answers in one transaction; durable when it returns. For each call one outcome per answer, in order.

        ACCEPTED: the lease was alive. LATE: expired, but a slot was free: counted all the same. SURPLUS: kept, not
        counted. DUPLICATE: this annotator's answer to this item is already here. REJECTED: an unknown or foreign lease.
        An Idempotency-Key seen before replays the stored reply (second value True), or is an IdempotencyMismatch when
        the digest differs.
        """

    def renew(
        self, name: str, annotator: Subject, leases: Sequence[LeaseId], *, now: datetime, expires_at: datetime
    ) -> list[LeaseOutcome]: ...

    def close(
        self, name: str, annotator: Subject, leases: Sequence[LeaseId], *, now: datetime, skip: bool
    ) -> list[LeaseOutcome]:
        """Give leases back: released (may be served to anyone again) or skipped (never again to this annotator)."""

    def held(self, name: str, annotator: Subject, now: datetime) -> list[Lease]:
        """The live leases of an annotator, oldest first."""

    def expire(self, name: str, now: datetime) -> int:
        """Mark leases whose time is over as expired, so that their slots are free. Returns how many."""

    def slots(self, name: str, numbers: Sequence[ItemNumber] | None = None) -> list[SlotState]:
        """State of open (POOLED) items that have any assignment: what Redis is rebuilt from.

        With `numbers`: of those items, whatever their state; one that is no longer open needs 0 votes.
        """

    def forget_replies(self, name: str, before: datetime) -> int:
        """Delete replies of Idempotency-Keys that are older. Returns how many."""

    def study(self) -> None:
        """Let the database look at tables that grew much, so that it goes on finding rows by their index."""

    def history(self, name: str, item: ItemNumber) -> Mapping[str, Json]:
        """All of one item: {"requires", "dispatches", "annotations", "consensus", "priorities"} lists."""


class Verdicts(Protocol):
    """Ballots that wait for a verdict, and the verdicts."""

    def pending(self, name: str, limit: int) -> list[Ballot]:
        """POOLED or DISPUTED items with a counted vote that no verdict has seen, and at least `needed` votes
        (one vote suffices when it is a reviewer's).
        """

    def settle(self, name: str, verdicts: Sequence[Verdict], now: datetime) -> int:
        """Apply verdicts in one transaction; one that was overtaken is left out. Returns how many took effect."""

    def disputed(self, name: str) -> Mapping[ItemNumber, int]:
        """Items that wait for a reviewer, each with the number of its requirement."""

    def dispute_skipped(
        self, name: str, skips: int, *, now: datetime, items: Sequence[ItemNumber] | None = None
    ) -> list[ItemNumber]:
        """Make POOLED items (all, or of the given) that so many annotators skipped DISPUTED. Returns those made so."""

    def annotators(self, name: str, only: Subject | None = None) -> list[Mapping[str, Json]]:
        """Of all who answered, skipped or hold leases, or of this one: {"annotator", "accepted", "late", "surplus",
        "skipped", "open", "seconds", "agreed", "gold", "right"}.
        """

    def shared(self, name: str) -> tuple[Ints, list[str]]:
        """Item and class ("": none or several) of each vote on items that have two or more; a review is no vote."""

    def export(self, name: str) -> Iterator[ExportRow]:
        """Every resolved item with its label and provenance, by number, each with its copies behind it; streamed."""


class Rounds(Protocol):
    """Planned rankings."""

    def save(  # noqa: PLR0913 - the facts of a round, all needed, all keyword
        self,
        name: str,
        queries: Sequence[Query],
        *,
        strategy: str,
        seed: int,
        model: ModelNumber | None,
        pool_version: int,
        stats: Mapping[str, Json],
        now: datetime,
    ) -> Round | None:
        """Keep a round and make it the serving one, unless the champion is no longer `model`: then None."""

    def forget(self, name: str) -> None:
        """Throw away the queries of all but the last few rounds."""

    def serving(self, name: str) -> Round | None: ...

    def get(self, name: str, number: RoundNumber) -> Round | None: ...

    def planned(self, name: str, number: RoundNumber) -> list[Query]:
        """All its queries as they were planned, whatever became of the items; none when they are no longer kept."""

    def queries(self, name: str, number: RoundNumber, planned: Sequence[Query] | None = None) -> list[Query]:
        """Its queries of items that are still POOLED, by lane and rank.

        Who has what it was saved with at hand gives it as `planned`: only what differs is read then.
        """

    def recent(self, name: str, limit: int) -> list[Round]: ...

    def gaps(self, name: str) -> Mapping[Lane, RankGap]:
        """Per lane of the serving round that was served from: how far the served ranks are from the planned ones."""

    def asked(self, name: str, numbers: Sequence[ItemNumber]) -> Mapping[ItemNumber, Lane]:
        """The lane by which each of these items was first handed out; items that nobody got are left out."""


class Models(Protocol):
    """The registry: training sets and models."""

    def keep_training_set(self, name: str, training_set: TrainingSet, now: datetime) -> None:
        """Keep it under its digest; again is no error."""

    def training_set(self, name: str, digest: str) -> TrainingSet: ...

    def add(self, name: str, model: Model, job: JobId) -> ModelNumber:
        """Register a model (its `number` is ignored) once per job: again gives the number it already has."""

    def get(self, name: str, number: ModelNumber) -> Model: ...

    def all(self, name: str) -> list[Model]:
        """By number, ascending."""

    def of_job(self, name: str, job: JobId) -> Model | None: ...

    def decide(
        self,
        name: str,
        number: ModelNumber,
        state: ModelState,
        *,
        reason: str,
        now: datetime,
        champion: ModelNumber | None,
    ) -> bool:
        """Set the state of a model. CHAMPION retires the old champion and asks for a plan job, in one transaction.

        `champion` is the one the decision was made against; when it has changed since, nothing happens: False.
        """


class Jobs(Protocol):
    """Wishes, kept in SQL until they are fulfilled."""

    def ask(self, name: str, kind: JobKind, due_key: str, *, reason: str, now: datetime) -> tuple[Job, bool]:
        """Ask for a job once per (project, kind, due_key). Second value: whether it is new."""

    def claim(self, job: JobId, attempt: int, now: datetime) -> Job | None:
        """Start attempt `attempt`; None when that attempt was claimed before or the job has ended."""

    def beat(self, job: JobId, attempt: int, *, now: datetime, progress: float, message: str) -> bool:
        """Say that it lives and how far it is. False: another attempt has taken over, stop."""

    def finish(
        self,
        job: JobId,
        attempt: int,
        *,
        now: datetime,
        result: Mapping[str, Json] | None,
        problem: Mapping[str, Json] | None,
    ) -> bool:
        """End it: DONE with a result, or FAILED with a problem."""

    def get(self, job: JobId) -> Job: ...

    def unfinished(self, name: str, silent_before: datetime) -> list[Job]:
        """Jobs to hand to a worker: DUE ones, and RUNNING ones last heard of before that time (their attempt + 1)."""

    def recent(self, name: str, kind: JobKind, limit: int) -> list[Job]:
        """Newest first."""


class Keys(Protocol):
    """API keys, known by their HMAC only."""

    def create(self, identity: Identity, digest: str, now: datetime) -> None: ...

    def find(self, digest: str) -> Identity | None: ...

    def known(self) -> list[KnownKey]:
        """Every key there ever was but those that went with their project, oldest first."""

    def revoke(self, digest: str, now: datetime) -> bool: ...

    def equip(self, digest: str, skills: Skills) -> bool:
        """Let a key carry these skills and no others; False when there is no such key, or it was revoked."""

    def carried(self, name: str) -> list[tuple[Role, Skills]]:
        """Role and skills of the keys that may be used on a project now; alike ones once."""


class Removals(Protocol):
    """Projects on their way out. Each step may be done again, or by two at once, without harm."""

    def extent(self, name: str) -> Extent:
        """What there is of a project, also of one that is being deleted."""

    def begin(self, name: str) -> tuple[Departure, Extent]:
        """Mark a project; again is no error. From the commit on it is unknown everywhere, nothing is written for it any
        more, and the keys that are limited to it are gone. Gives what there was of it.
        """

    def departing(self) -> list[Departure]:
        """Those that are marked and not finished."""

    def at_work(self, one: Departure, since: datetime) -> int:
        """Its running jobs that were heard of since."""

    def artifacts(self, one: Departure) -> frozenset[str]:
        """Digests that its rows refer to, and perhaps others that no file has."""

    def needed(self, digests: Collection[str]) -> frozenset[str]:
        """Those that a project refers to which is not being deleted."""

    def remove(self, one: Departure, *, seconds: float, jobs: bool) -> bool:
        """Delete its rows in pieces, for so long at most; those of its jobs only with `jobs`. Whether none is left."""

    def bury(self, one: Departure, now: datetime, *, order_gone: bool) -> bool:
        """Free its name, unless rows are left: then False. With `order_gone` it is over, and no longer departing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All ports in one hand: what `wiring.build` makes and every verb of the loop takes first."""

    clock: Clock
    projects: Projects
    pool: Pool
    ledger: Ledger
    verdicts: Verdicts
    rounds: Rounds
    models: Models
    jobs: Jobs
    keys: Keys
    removals: Removals
    queue: Queue
    queue_health: QueueHealth
    bus: Bus
    claims: Claims
    features: FeatureStore
    scores: ScoreFiles
    estimators: Estimators
    artifacts: Artifacts
    layouts: Layouts
    maps: Maps
    folders: Folders
    lock: Lock
