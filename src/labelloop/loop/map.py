"""map: a bounded sample of the pool as points on a plane: what it is, where the model is unsure, where we asked.

A base sample is drawn by lot from the item numbers alone, so that the picture stays the same while labels come in;
labeled items that are not in it are added, because they are few and are what the picture is about. Drawn by a job, off
the path of any request; what is read is bounded by the sample, not by the pool.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from labelloop import schema, strategies
from labelloop.domain.errors import InvalidFeatures, InvalidProject, NoMap, StrategyFailed
from labelloop.domain.states import ItemState, Lane
from labelloop.domain.types import ItemNumber, Json
from labelloop.loop.featurize import Beat
from labelloop.loop.fitting import Calibrated
from labelloop.loop.pool import encode
from labelloop.loop.shares import of_round
from labelloop.loop.train import load_model
from labelloop.maths import selection
from labelloop.maths.arrays import Floats, Ints, Matrix, present
from labelloop.ports import LAYOUTS, Ports
from labelloop.projects import Project
from labelloop.strategies import Evidence, Need

BASE = 3_500
"""Items of the base sample."""
LABELED = 1_500
"""Labeled items beyond those that are in the base sample, at most."""
LANES = tuple(Lane)
NEXT = 100
"""Queries that are drawn as coming next."""
PULL = 1.5
_LOT = 0x6D6170
"""Sets the lot of the map apart from the audit's."""
_BLOCK = 1 << 20
_DIGITS = 4


def draw(ports: Ports, name: str, beat: Beat) -> Mapping[str, Json]:
    """Draw the map of a project as it stands, and keep it. Returns what is kept: see the reference of the HTTP API.

    Raises:
        UnknownProject: there is no such project.
        InvalidFeatures: nothing has features yet.
    """
    project, row, serving = ports.projects.get(name), ports.projects.row(name), ports.rounds.serving(name)
    resolved = ports.pool.counts(name).resolved  # before the labels are read: what comes meanwhile makes it stale
    beat(0.0, "drawing the sample")
    numbers, labels = _labeled(ports, project)
    base = _in_use(ports, project, _sample(project, row.items))
    if not len(base):
        raise InvalidFeatures(
            f"Project {name!r}: no features are computed yet, so there is nothing to draw. Plan a round first.",
            project=name,
        )
    more = _few(project, _featured(ports, project, np.setdiff1d(numbers, base)), LABELED)
    shown = np.concatenate([base, more])
    beat(0.1, "reading features")
    features, added = ports.features.take(project, base), ports.features.take(project, more)
    layouts = {}
    for at, kind in enumerate(LAYOUTS):
        beat(0.2 + 0.5 * at / len(LAYOUTS), f"layout {kind}")
        layout = ports.layouts.place(project, kind, features, added)
        # t-SNE's distances mean nothing: its plane may be pulled a little to fill its square.
        places = _squared(np.concatenate([layout.base, layout.more]), pull=PULL if kind == "tsne" else 1.0)
        layouts[kind] = {"x": _plain(places[:, 0]), "y": _plain(places[:, 1]), "explained": layout.explained}
    beat(0.7, "asking the model")
    model = load_model(ports, project, row.champion) if row.champion is not None else None
    seen = _seen(project, model, (features, added), counts=_counts(project, labels))
    lanes = _lanes(ports, name, shown)
    label_of = dict(zip(numbers.tolist(), labels.tolist(), strict=True))
    drawn: dict[str, Json] = {
        "project": name,
        "title": project.title or name,
        "drawn_at": ports.clock.now().isoformat(),
        "round": serving.number if serving else None,
        "strategy": serving.strategy if serving else None,
        "model": row.champion,
        "items": row.items,
        "labeled": len(numbers),
        "resolved": resolved,
        "shown": {"base": len(base), "labeled": sum(int(number) in label_of for number in shown)},
        "classes": list(schema.of(project).classes),
        "lanes": [lane.value for lane in LANES],
        "points": {
            "item": shown.tolist(),
            "label": [label_of.get(number, -1) for number in shown.tolist()],
            **seen,
            **lanes,
        },
        "layouts": layouts,
    }
    ports.maps.keep(name, drawn)
    return drawn


def last(ports: Ports, name: str) -> Mapping[str, Json]:
    """The map that was drawn last, and whether the project has moved on since.

    Raises:
        UnknownProject: there is no such project.
        NoMap: none was drawn yet.
    """
    row, serving = ports.projects.row(name), ports.rounds.serving(name)
    drawn = ports.maps.read(name)
    if drawn is None:
        raise NoMap(
            f"The pool of {name!r} has not been drawn yet. Ask for it: POST /v1/projects/{name}/map, or"
            f" `labelloop map {name}`.",
            project=name,
        )
    then = (drawn["round"], drawn["model"], drawn["resolved"])
    now = (serving.number if serving else None, row.champion, ports.pool.counts(name).resolved)
    return {**drawn, "stale": then != now}


def _sample(project: Project, items: int) -> Ints:
    """The numbers (≤ BASE,) that draw the lowest lots of a pool; ascending. Block by block: memory stays flat."""
    found: Ints = np.zeros(0, dtype=np.int64)
    for start in range(0, items, _BLOCK):
        found = _few(project, np.concatenate([found, np.arange(start, min(start + _BLOCK, items))]), BASE)
    return found


def _few(project: Project, numbers: Ints, most: int) -> Ints:
    """Of these numbers those with the lowest lots, ascending."""
    if len(numbers) <= most:
        return np.sort(numbers)
    lots = selection.uniform_hash(project.seed ^ _LOT, numbers)
    return np.sort(numbers[np.argpartition(lots, most)[:most]])


def _in_use(ports: Ports, project: Project, numbers: Ints) -> Ints:
    """Those that have features and are not retired; made-up items are no part of a pool."""
    made_up, _ = ports.pool.synthetic(project.name)
    ready = _featured(ports, project, np.setdiff1d(numbers, made_up))
    items = ports.pool.items(project.name, [ItemNumber(number) for number in ready.tolist()])
    return np.array([item.number for item in items if item.state is not ItemState.RETIRED], dtype=np.int64)


def _featured(ports: Ports, project: Project, numbers: Ints) -> Ints:
    """Those whose features are computed."""
    size = project.items.shard_size
    shard_of = numbers // size
    rows = {shard: ports.features.rows(project, shard) for shard in present(shard_of).tolist()}
    there = np.array([rows[shard] for shard in shard_of.tolist()], dtype=np.int64)
    return numbers[numbers - shard_of * size < there]


def _labeled(ports: Ports, project: Project) -> tuple[Ints, Ints]:
    numbers, labels, _ = ports.pool.labeled(project.name)
    codes = encode(project, labels)
    return numbers[codes >= 0], codes[codes >= 0]


def _counts(project: Project, codes: Ints) -> Ints:
    return np.bincount(codes, minlength=len(schema.of(project).classes))


def _seen(
    project: Project, model: Calibrated | None, parts: tuple[Matrix, Matrix], *, counts: Ints
) -> dict[str, list[Any]]:
    """What the model takes each point for, how much it doubts (1 less the margin), and the strategy's score."""
    if model is None:
        nothing = [None] * sum(part.shape[0] for part in parts)
        return {"guess": [-1] * len(nothing), "doubt": nothing, "score": nothing}
    guesses, doubts, scores = [], [], []
    for features in parts:
        if not features.shape[0]:
            continue
        probabilities = model.probabilities(features)
        best = np.sort(np.partition(probabilities, -2, axis=1)[:, -2:], axis=1)
        guesses.append(probabilities.argmax(axis=1))
        doubts.append(1 - (best[:, 1] - best[:, 0]))
        scores.append(_scores(project, model, features, probabilities, counts))
    return {
        "guess": np.concatenate(guesses).tolist(),
        "doubt": _plain(np.concatenate(doubts)),
        "score": _plain(np.concatenate(scores)),
    }


def _scores(project: Project, model: Calibrated, features: Matrix, probabilities: Floats, counts: Ints) -> Floats:
    """The strategy's scores; NaN where it cannot score rows alone."""
    strategy = strategies.bind(project.strategy)
    evidence = Evidence(
        rows=features.shape[0],
        probabilities=probabilities,
        committee=model.committee(features) if Need.COMMITTEE in strategy.needs else None,
        features=features,
        class_counts=counts,
    )
    try:
        return strategies.checked_score(strategy, evidence, np.random.default_rng(project.seed))
    except (StrategyFailed, InvalidProject):  # the round fell back, too
        return np.full(features.shape[0], np.nan)


def _lanes(ports: Ports, name: str, numbers: Ints) -> dict[str, list[int]]:
    """By which lane each item was asked, and by which it comes next: places in LANES, -1 for none.

    Next are the first NEXT queries of the serving round, as the lanes' shares have it; the window is far longer.
    """
    code = {lane: place for place, lane in enumerate(LANES)}
    asked = ports.rounds.asked(name, [ItemNumber(number) for number in numbers.tolist()])
    serving = ports.rounds.serving(name)
    shares = of_round(ports.projects.get(name), serving)
    queries = ports.rounds.queries(name, serving.number) if serving else []
    by_lane: dict[Lane, list[int]] = {}
    for query in queries:
        by_lane.setdefault(query.lane, []).append(int(query.item))
    planned = {
        item: code[lane] for lane, items in by_lane.items() for item in items[: round(NEXT * shares.get(lane, 1.0))]
    }
    return {
        "asked": [code[asked[ItemNumber(number)]] if number in asked else -1 for number in numbers.tolist()],
        "planned": [planned.get(number, -1) for number in numbers.tolist()],
    }


def _squared(places: Floats, *, pull: float) -> Floats:
    """The plane in [-1, 1], one axis enlarged by `pull` at most against the other.

    The odd far point is drawn at the edge, or it would squash all others.
    """
    low, high = np.quantile(places, [0.005, 0.995], axis=0)
    wide = (high - low) / 2 * 1.05
    half = np.maximum(wide, max(float(wide.max()) / pull, 1e-9))
    return np.asarray(np.clip((places - (low + high) / 2) / half, -1, 1))


def _plain(values: Floats) -> list[float | None]:
    """Numbers for JSON, short; None where there is none."""
    return [round(value, _DIGITS) if np.isfinite(value) else None for value in np.asarray(values, dtype=float).tolist()]
