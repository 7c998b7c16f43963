"""The pool of a project as arrays: who waits, who is reserved for the audit, what is labeled.

Not a verb: what plan, train and promote all look at. The audit reserve is drawn by lot from the item numbers alone, so
that every process agrees on it and it stays uniform while the pool grows.
"""

from dataclasses import dataclass, field

import numpy as np

from labelloop import schema
from labelloop.domain import policy
from labelloop.domain.states import Lane
from labelloop.domain.types import ProjectRow
from labelloop.maths import selection
from labelloop.maths.arrays import Ints, Mask
from labelloop.ports import Ports
from labelloop.projects import Project

GUESSED = 20_000
"""Items without a label that a training looks at, drawn by lot: of more it would learn little more."""
_BLOCK = 1 << 18
"""Items that draw their lots together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """What composing a round may see of the pool.

    waiting: (n,) numbers that may be asked, the audit reserve excluded. reserve: (r,) waiting numbers of the audit
    reserve, in the order they were drawn. class_counts: (classes,) labels so far, audit left out. labeled: numbers
    of the training labels. codes: their class codes. in_flight: numbers of items that are out or half answered, and
    have no label yet. reserve_share: the probability with which an item came into the reserve. required: (q,) numbers
    (ascending) of items that require skills. requirement: (q,) the numbers of their requirements.
    """

    waiting: Ints
    reserve: Ints
    class_counts: Ints
    labeled: Ints
    reserve_share: float = 0.0
    in_flight: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    codes: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    required: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    requirement: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def most(self, project: Project) -> int:
        """How many of the best a lane looks at: a window, or all where a part of each requirement is looked for."""
        return max(project.lanes.window, len(self.waiting) if len(self.required) else 0)

    def requires(self, numbers: Ints) -> Ints | None:
        """Number of the requirement of each (n,), 0 for none; None where no item of the pool requires anything."""
        if not len(self.required):
            return None
        place = np.minimum(np.searchsorted(self.required, numbers), len(self.required) - 1)
        return np.where(self.required[place] == numbers, self.requirement[place], 0)


def look(ports: Ports, project: Project, *, items: int) -> PoolView:
    """The first `items` of the pool as they are now; fixes the audit threshold at the first look.

    What comes in while a round is made is left to the next: it has no features and no scores yet.
    """
    row = ports.projects.row(project.name)
    threshold = row.audit_threshold
    if threshold is None:
        wanted = policy.audit_threshold(
            pool=items,
            share=project.lanes.shares().get(Lane.AUDIT, 0.0),
            budget=project.stop.budget,
            items=project.lanes.audit_items,
        )
        threshold = ports.projects.fix_audit(project.name, wanted)
    waiting = _first(items, ports.pool.waiting(project.name))
    reserved = _reserved(project, waiting, threshold)
    reserve = waiting[reserved]
    numbers, codes = training_labels(ports, project, threshold, items=items)
    none = np.zeros(0, dtype=np.int64)
    required, requirement = ports.pool.required(project.name) if row.requirements else (none, none)
    required = _first(items, required)
    return PoolView(
        waiting=waiting[~reserved],
        reserve=reserve[np.argsort(draw(project, reserve), kind="stable")],
        class_counts=np.bincount(codes, minlength=len(schema.of(project).classes)),
        labeled=numbers,
        reserve_share=threshold / policy.HASH_RANGE,
        in_flight=_first(items, _in_flight(ports, project)),
        codes=codes,
        required=required,
        requirement=requirement[: len(required)],
    )


def _first(items: int, numbers: Ints) -> Ints:
    """Of ascending numbers those of the first `items` of a pool."""
    return numbers[: np.searchsorted(numbers, items)]


def _reserved(project: Project, numbers: Ints, threshold: int) -> Mask:
    """Which of these items (n,) belong to the audit reserve; in blocks, for a lot takes 30 times the memory of this."""
    reserved = np.empty(len(numbers), dtype=bool)
    for start in range(0, len(numbers), _BLOCK):
        block = slice(start, start + _BLOCK)
        reserved[block] = draw(project, numbers[block]) < threshold
    return reserved


def _in_flight(ports: Ports, project: Project) -> Ints:
    out = [state.item for state in ports.ledger.slots(project.name) if state.done or state.live]
    return np.array(sorted(out), dtype=np.int64)


def draw(project: Project, numbers: Ints) -> Ints:
    """The number below policy.HASH_RANGE that each item draws, once and for ever: (n,) uint64."""
    return selection.uniform_hash(project.seed, numbers) >> np.uint64(1)


_OVERLAP = 0x6F7665726C6170
"""Sets the lot of the overlap apart from the audit's, so that neither says anything about the other."""
_GUESSES = 0x67756573736573
"""The same for the lot of the items that are guessed about."""


def votes_wanted(project: Project, lane: Lane, numbers: Ints) -> Ints:
    """Votes (n,) that the project file asks for items of a lane; an item that has a higher number already keeps it."""
    by_lane = {str(key): votes for key, votes in project.votes.lanes.items()}
    wanted = np.full(len(numbers), max(by_lane.get(lane, 1), project.votes.needed))
    if project.votes.overlap is not None:
        # Below by 53 bits, so that a share of 1 takes everybody and no product overflows.
        drawn = selection.uniform_hash(project.seed ^ _OVERLAP, numbers) >> np.uint64(11)
        chosen = drawn < np.uint64(project.votes.overlap.share * 2**53)
        wanted = np.where(chosen, np.maximum(wanted, project.votes.overlap.needed), wanted)
    return wanted


def training_labels(ports: Ports, project: Project, threshold: int, *, items: int) -> tuple[Ints, Ints]:
    """Numbers and class codes of labels that may be trained on: all of the first `items` but the audit's."""
    numbers, labels, sources = ports.pool.labeled(project.name)
    codes = encode(project, labels)
    keep = (codes >= 0) & (numbers < items) & ((draw(project, numbers) >= threshold) | (sources == 1))
    return numbers[keep], codes[keep]


def synthetic_labels(ports: Ports, project: Project, *, items: int) -> tuple[Ints, Ints]:
    """Numbers and class codes of those of the first `items` that were ingested as synthetic: for training alone."""
    numbers, labels = ports.pool.synthetic(project.name)
    codes = encode(project, labels)
    keep = (codes >= 0) & (numbers < items)
    return numbers[keep], codes[keep]


def unlabeled(ports: Ports, project: Project, row: ProjectRow) -> Ints:
    """Numbers of items that a training which began at this row may guess about.

    None where the project does not train itself, and none before the first round, which draws the audit's reserve:
    nothing of that is ever among them, so that the measure stays blind in every way.
    """
    if project.guessing is None or row.audit_threshold is None:
        return np.zeros(0, dtype=np.int64)
    waiting = _first(row.items, ports.pool.waiting(project.name))
    return guessed_about(project, waiting[~_reserved(project, waiting, row.audit_threshold)])


def guessed_about(project: Project, numbers: Ints) -> Ints:
    """Of the numbers (n,) of items without a label the `GUESSED` that the lot draws, ascending."""
    return selection.by_lot(numbers, GUESSED, seed=project.seed ^ _GUESSES)


def audit_labels(ports: Ports, project: Project, threshold: int) -> tuple[Ints, Ints]:
    """Numbers and class codes of the audit: drawn by lot, answered by people, never trained on."""
    numbers, labels, sources = ports.pool.labeled(project.name)
    codes = encode(project, labels)
    keep = (codes >= 0) & (draw(project, numbers) < threshold) & (sources == 0)
    return numbers[keep], codes[keep]


def encode(project: Project, labels: list[str]) -> Ints:
    """Class codes (n,) of labels; -1 for a label that the schema no longer has."""
    code = {label: at for at, label in enumerate(schema.of(project).classes)}
    return np.fromiter((code.get(label, -1) for label in labels), dtype=np.int64, count=len(labels))
