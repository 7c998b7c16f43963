"""The map of a pool: a bounded sample, the same each time, that says what was asked and what the model doubts."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest_loop import blobs, create, label, run_jobs, start
from matplotlib.image import imread

from labelloop.adapters.plots import pool_map
from labelloop.domain.errors import InvalidFeatures, NoMap, UnknownProject
from labelloop.domain.states import JobKind, JobState
from labelloop.domain.types import NewItem
from labelloop.loop import map as mapping
from labelloop.loop.ingest import ingest
from labelloop.loop.request import request_map
from labelloop.loop.tend import tend

KEYS = ("label", "guess", "doubt", "score", "asked", "planned")


def draw(ports):
    return mapping.draw(ports, "plane", lambda _part, _what: None)


def worked(ports, count=200):
    """A project with two batches of labels and a model."""
    truth = start(ports, count=count)
    for _ in range(3):
        label(ports, truth, count=15)
        tend(ports, "plane")
        run_jobs(ports)
    return truth


def test_a_map_tells_labels_lanes_and_doubt_of_every_point(ports):
    """Labels are those of the store, lanes those of the leases, doubt is highest between the clouds."""
    truth = worked(ports)
    drawn = json.loads(json.dumps(draw(ports)))
    points = drawn["points"]
    assert all(len(points[key]) == len(points["item"]) == 200 for key in KEYS)
    labels = {int(n): label for n, label in zip(*ports.pool.labeled("plane")[:2], strict=True)}
    for item, code, asked in zip(points["item"], points["label"], points["asked"], strict=True):
        assert (drawn["classes"][code] if code >= 0 else None) == labels.get(item)
        if code >= 0:
            history = ports.ledger.history("plane", item)
            assert drawn["lanes"][asked] == history["dispatches"][0]["lane"]
    items = {int(item.number): item for item in ports.pool.span("plane", 0, 200)}
    right = [truth[items[n].key] == drawn["classes"][g] for n, g in zip(points["item"], points["guess"], strict=True)]
    doubt = np.array(points["doubt"], dtype=float)
    assert np.mean(right) > 0.8
    assert doubt[~np.array(right)].mean() > 2 * doubt[np.array(right)].mean()
    assert sum(lane >= 0 for lane in points["planned"]) > 0


def test_both_layouts_fill_the_plane_and_keep_the_clouds_apart(ports):
    """Coordinates lie in [-1, 1]; points of one class stand nearer to each other than to the others."""
    truth = worked(ports)
    drawn = draw(ports)
    items = {int(item.number): item for item in ports.pool.span("plane", 0, 200)}
    classes = np.array([truth[items[n].key] for n in drawn["points"]["item"]])
    for layout in drawn["layouts"].values():
        places = np.array([layout["x"], layout["y"]], dtype=float).T
        assert np.abs(places).max() <= 1
        middle = np.array([np.median(places[classes == name], axis=0) for name in ("c0", "c1", "c2")])
        nearest = np.linalg.norm(places[:, None] - middle, axis=2).argmin(axis=1)
        assert (nearest == np.array([int(name[1]) for name in classes])).mean() > 0.8
    assert sum(drawn["layouts"]["pca"]["explained"]) == pytest.approx(1, abs=0.01)


def test_the_sample_is_bounded_and_keeps_still_while_labels_come(ports, monkeypatch):
    """Drawn by lot from the numbers: the same items after more labels, at the same places; labeled ones are added."""
    monkeypatch.setattr(mapping, "BASE", 60)
    monkeypatch.setattr(mapping, "LABELED", 25)
    truth = worked(ports, count=300)
    before = draw(ports)
    for _ in range(2):
        label(ports, truth, count=20)
        tend(ports, "plane")
    after = draw(ports)
    base = before["points"]["item"][:60]
    assert after["points"]["item"][:60] == base
    assert len(after["points"]["item"]) == 85
    assert after["layouts"]["tsne"]["x"][:10] != []
    assert set(after["points"]["item"][60:]) <= set(ports.pool.labeled("plane")[0].tolist())
    assert draw(ports)["layouts"] == after["layouts"]


def test_a_pool_without_model_is_drawn_without_doubt(ports):
    """Before the first training there is nothing to be unsure."""
    start(ports, count=80)
    drawn = draw(ports)
    assert set(drawn["points"]["guess"]) == {-1}
    assert set(drawn["points"]["doubt"]) == {None}
    assert set(drawn["points"]["asked"]) == {-1}


def test_a_job_draws_the_map_once_per_state_and_the_map_knows_when_it_is_stale(ports):
    """Asked twice it is drawn once; after more labels the old one says so, and another is drawn."""
    truth = worked(ports)
    with pytest.raises(NoMap, match="POST /v1/projects/plane/map"):
        mapping.last(ports, "plane")
    job = request_map(ports, "plane")
    assert request_map(ports, "plane").id == job.id
    assert job.kind is JobKind.MAP
    from labelloop import jobs

    (waiting,) = ports.jobs.unfinished("plane", ports.clock.now())
    jobs.draw(waiting.id, waiting.attempt)
    assert ports.jobs.get(job.id).state is JobState.DONE
    assert mapping.last(ports, "plane")["stale"] is False
    label(ports, truth, count=5)
    tend(ports, "plane")
    assert mapping.last(ports, "plane")["stale"] is True
    assert request_map(ports, "plane").id != job.id


def test_a_damaged_map_is_no_map(ports, tmp_path):
    """It is drawn again at any time, so half a file is as good as none."""
    worked(ports)
    draw(ports)
    path = next(Path(tmp_path).rglob("map.json"))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(NoMap):
        mapping.last(ports, "plane")


def test_what_cannot_be_drawn_says_why(ports):
    """No project, no features: the remedy is in the sentence."""
    with pytest.raises(UnknownProject):
        mapping.last(ports, "plane")
    create(ports)
    ingest(ports, "plane", blobs(30)[0])
    with pytest.raises(InvalidFeatures, match="Plan a round"):
        draw(ports)


def test_made_up_items_are_not_drawn(ports):
    """They serve the training only, and are no part of the pool."""
    create(ports)
    items, truth = blobs(40)
    ingest(ports, "plane", items[:30])
    ingest(
        ports,
        "plane",
        [NewItem(key=f"s{one.key}", data=one.data, line=1, label=truth[one.key], synthetic=True) for one in items[30:]],
    )
    tend(ports, "plane")
    run_jobs(ports)
    assert draw(ports)["points"]["item"] == list(range(30))


def test_tiny_and_equal_pools_have_a_map_too(ports):
    """Two items at the same place are a map of one point."""
    create(ports)
    ingest(
        ports, "plane", [NewItem(key=k, data={"x": 1.0, "y": v}, line=1) for k, v in (("a", 1.0), ("b", 1.0 + 1e-9))]
    )
    tend(ports, "plane")
    run_jobs(ports)
    drawn = draw(ports)
    assert all(np.isfinite(layout["x"]).all() for layout in drawn["layouts"].values())


def test_the_picture_has_three_panels_in_every_format(ports, tmp_path):
    """PNG, SVG and PDF; each third of the PNG has something in it."""
    worked(ports)
    drawn = draw(ports)
    for layout in drawn["layouts"]:
        pool_map(drawn, tmp_path / f"{layout}.png", layout=layout)
        pixels = imread(tmp_path / f"{layout}.png")[:, :, :3].min(axis=2) < 0.95
        thirds = np.array_split(pixels, 3, axis=1)
        assert all(third.mean() > 0.005 for third in thirds)
    pool_map(drawn, tmp_path / "map.svg")
    assert "<svg" in (tmp_path / "map.svg").read_text()
    pool_map(drawn, tmp_path / "map.pdf")
    assert (tmp_path / "map.pdf").read_bytes().startswith(b"%PDF")


def test_a_strategy_that_falls_back_leaves_its_scores_out_of_the_map(ports):
    """A committee that the model does not have: rounds go on by margin, and the map shows what there is to show."""
    truth = start(ports, strategy={"kind": "bald"})
    for _ in range(3):
        label(ports, truth, count=15)
        tend(ports, "plane")
        run_jobs(ports)
    points = draw(ports)["points"]
    assert set(points["score"]) == {None}
    assert None not in points["doubt"]
