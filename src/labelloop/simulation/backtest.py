"""A simulation on the labels that a live project has collected: how would other strategies have asked for them?

Only labeled items can be replayed. Where the project drew an audit by lot, its labels are the test set, and the scores
are honest; the pool is what the project's own strategy chose, and that limits what a comparison can say.
"""

from pathlib import Path

import numpy as np

from labelloop import schema, wiring
from labelloop.domain.errors import Invalid, InvalidFeatures, UnknownProject
from labelloop.loop import pool
from labelloop.maths import selection
from labelloop.maths.arrays import Floats, Ints
from labelloop.ports import Ports
from labelloop.projects import Project
from labelloop.settings import Settings
from labelloop.simulation.data import Data
from labelloop.simulation.find import stored
from labelloop.simulation.run import LabeledSet

LEAST_AUDIT = 30
"""With fewer labels of the audit, a part of the others is held out instead."""
HELD_OUT = 0.3
LEAST = 20
"""Labels below which there is nothing to replay."""
_LOT = 0x6261636B74657374
"""Sets the lot of the held-out labels apart from the audit's."""


def of_labels(name: str, settings: Settings) -> LabeledSet:
    """The resolved labels of a project in the store, as a set that can be replayed.

    Raises:
        UnknownProject: the store has no such project.
        Invalid: too few labels.
        InvalidFeatures: the features of labeled items are not computed yet.
    """
    if not stored(settings):
        raise UnknownProject(name)
    ports = wiring.build(settings)
    try:
        project, row = ports.projects.get(name), ports.projects.row(name)
        threshold = row.audit_threshold or 0
        asked = pool.training_labels(ports, project, threshold, items=row.items)
        audit = pool.audit_labels(ports, project, threshold)
        data, tested = _split(ports, project, asked, audit)
        caveat = _caveat(labeled=len(asked[0]) + len(audit[0]), items=row.items, played=len(data.codes), tested=tested)
    finally:
        wiring.close(ports)

    def load(_folder: Path) -> Data:
        return data

    return LabeledSet(project=project, load=load, caveat=caveat)


def _split(ports: Ports, project: Project, asked: tuple[Ints, Ints], audit: tuple[Ints, Ints]) -> tuple[Data, str]:
    """The labels to replay and those to measure on; says which the latter are."""
    if len(asked[0]) < LEAST:
        raise Invalid(
            f"The project {project.name!r} has {len(asked[0])} labels outside its audit; a backtest needs {LEAST}.",
            project=project.name,
        )
    if len(audit[0]) >= LEAST_AUDIT:
        tested = f"{len(audit[0])} audit labels, drawn by lot"
    else:
        held = _lot(project, asked[0]) < HELD_OUT
        audit, asked = (asked[0][held], asked[1][held]), (asked[0][~held], asked[1][~held])
        tested = f"{len(audit[0])} of the same labels, held out, because the audit has fewer than {LEAST_AUDIT}"
    if len(np.unique(asked[1])) < 2:
        classes = schema.of(project).classes
        raise Invalid(
            f"All labels of {project.name!r} that can be replayed are {classes[int(asked[1][0])]!r}; a backtest needs "
            "two classes.",
            project=project.name,
        )
    try:
        return Data(
            features=ports.features.take(project, asked[0]),
            codes=asked[1],
            test_features=ports.features.take(project, audit[0]),
            test_codes=audit[1],
            shape=ports.features.shape(project),
        ), tested
    except InvalidFeatures as error:
        raise InvalidFeatures(f"{error.detail} A backtest reads the features that a round has computed.") from None


def _lot(project: Project, numbers: Ints) -> Floats:
    return np.asarray(selection.uniform_hash(project.seed ^ _LOT, numbers) / 2.0**64)


def _caveat(*, labeled: int, items: int, played: int, tested: str) -> str:
    return (
        f"backtest: {labeled:,} of {items:,} items are labeled, and only {played:,} of them can be asked here. They are"
        " what this project's own strategy\nchose: every other strategy chooses among its choices, random draws are not"
        " random draws from the pool, and so differences are\nsmaller than live ones and lean towards strategies that"
        f" ask alike. Measured on {tested}."
    )
