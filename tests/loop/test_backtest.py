"""A backtest replays the labels of a live project, measures on its audit, and says what it cannot say."""

import numpy as np
import pytest
from conftest_loop import blobs, create, label, run_jobs, start

from labelloop.domain.errors import Invalid, UnknownProject
from labelloop.domain.types import NewItem
from labelloop.loop.ingest import ingest
from labelloop.loop.pool import audit_labels
from labelloop.loop.tend import tend
from labelloop.settings import Settings
from labelloop.simulation.backtest import of_labels
from labelloop.simulation.run import Asked, run_all


def test_the_labels_of_people_are_replayed_and_the_audit_measures(ports, tmp_path):
    """Every non-audit label can be asked, the audit is the test set, and the caveat has the numbers."""
    truth = start(ports, count=400, stop={"budget": 300}, lanes={"audit": 0.3, "window": 200})
    for _ in range(8):
        label(ports, truth, count=25)
        tend(ports, "plane")
        run_jobs(ports)
    threshold = ports.projects.row("plane").audit_threshold
    audit, _ = audit_labels(ports, ports.projects.get("plane"), threshold)
    numbers, labels, _ = ports.pool.labeled("plane")
    assert len(audit) >= 30
    labeled = of_labels("plane", Settings())
    data = labeled.load(tmp_path)
    assert len(data.test_codes) == len(audit)
    assert len(data.codes) == len(numbers) - len(audit)
    assert f"{len(labels):,} of 400 items are labeled" in labeled.caveat
    assert "drawn by lot" in labeled.caveat
    (simulated,) = run_all([labeled], Asked(strategies=["margin", "random"], seeds=2, budget=60, jobs=1))
    assert simulated.full_data_score > 0.8
    assert max(simulated.curves["random"][0].asked) < len(data.codes)
    assert "caveat" in simulated.to_json()


def test_without_an_audit_a_part_is_held_out_and_that_is_said(ports, tmp_path):
    """Imported labels were never drawn by lot: a reproducible part of them is kept for measuring."""
    create(ports)
    items, truth = blobs(200)
    ingest(ports, "plane", [NewItem(key=one.key, data=one.data, line=one.line, label=truth[one.key]) for one in items])
    tend(ports, "plane")
    run_jobs(ports)
    labeled = of_labels("plane", Settings())
    data, again = labeled.load(tmp_path), of_labels("plane", Settings()).load(tmp_path)
    assert len(data.codes) + len(data.test_codes) == 200
    assert 40 < len(data.test_codes) < 80
    np.testing.assert_array_equal(data.test_codes, again.test_codes)
    assert "held out" in labeled.caveat


def test_what_cannot_be_replayed_is_refused_with_the_reason(ports):
    """No such project, or too few labels."""
    start(ports)
    with pytest.raises(Invalid, match="has 0 labels"):
        of_labels("plane", Settings())
    with pytest.raises(UnknownProject):
        of_labels("plan", Settings())
