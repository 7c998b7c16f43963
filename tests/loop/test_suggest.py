"""What annotators are shown of the model's opinion: nothing unless the project says so, and never in the audit."""

import numpy as np
import pytest
from conftest_loop import start, trained, who

from labelloop.domain.errors import Unavailable
from labelloop.domain.states import Lane
from labelloop.loop.lease import lease, open_leases
from labelloop.loop.train import load_model

SHOWN = {"lease": {"predictions": True}}


def _leased(ports, truth, *, count=40):
    trained(ports, truth, count=20)
    return lease(ports, "plane", who("ben"), count)


def test_leases_come_with_the_class_that_the_model_says(ports):
    """Each item of the informative and the minority lane, over shards; those of the audit come without."""
    batch = _leased(ports, start(ports, **SHOWN))
    audited = {one.id for one in batch.leases if one.lane is Lane.AUDIT}
    assert len(batch.leases) == 40
    assert audited
    assert set(batch.predictions) == {one.id for one in batch.leases} - audited
    project = ports.projects.get("plane")
    model = load_model(ports, project, ports.projects.row("plane").champion)
    for one in batch.leases:
        if one.id in batch.predictions:
            said = model.probabilities(ports.features.take(project, np.array([one.item])))[0]
            assert batch.predictions[one.id] == f"c{said.argmax()}"
    assert open_leases(ports, "plane", who("ben")).predictions == batch.predictions


def test_the_model_is_heard_whatever_arm_asked(ports):
    """With `auto` the strategy that asked is not the file's; what its model said is found all the same."""
    batch = _leased(ports, start(ports, **SHOWN, strategy={"kind": "auto"}))
    assert batch.leases
    assert set(batch.predictions) == {one.id for one in batch.leases if one.lane is not Lane.AUDIT}


@pytest.mark.parametrize("sections", [{}, {"lease": {"predictions": False}}])
def test_nobody_is_led_unless_the_project_says_so(ports, sections):
    """By default leases come bare, whatever the model thinks."""
    batch = _leased(ports, start(ports, **sections))
    assert batch.leases
    assert not batch.predictions
    assert not open_leases(ports, "plane", who("ben")).predictions


def test_without_a_model_there_is_nothing_to_say(ports):
    """The first round has no model; its leases come bare."""
    start(ports, **SHOWN)
    batch = lease(ports, "plane", who("ben"), 10)
    assert len(batch.leases) == 10
    assert not batch.predictions


def test_what_was_said_may_be_gone(ports):
    """Columns that another round took away cost the help, not the work."""
    truth = start(ports, **SHOWN)
    trained(ports, truth, count=20)
    ports.scores.discard(ports.projects.get("plane"), [])
    batch = lease(ports, "plane", who("ben"), 10)
    assert len(batch.leases) == 10
    assert not batch.predictions


def test_leases_that_are_written_are_handed_out_whatever_fails_then(ports, monkeypatch):
    """The store goes away behind the commit: the help is lost, the work is not."""
    truth = start(ports, **SHOWN)
    trained(ports, truth, count=20)

    def silent(*_):
        raise Unavailable("the disk does not answer")

    monkeypatch.setattr(type(ports.scores), "read", silent)
    batch = lease(ports, "plane", who("ben"), 10)
    assert len(batch.leases) == 10
    assert not batch.predictions
