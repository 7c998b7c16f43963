"""A plan that crashed, as on a full disk, is asked for again after a while: without a round nobody works."""

import pytest
from conftest_loop import blobs, create, run_jobs

from labelloop.domain.states import JobKind, JobState
from labelloop.loop import plan as planning
from labelloop.loop.ingest import ingest
from labelloop.loop.tend import PAUSE, tend


@pytest.mark.parametrize("times", [1, 3])
def test_a_crashed_plan_is_asked_for_again_after_a_pause(ports, clock, monkeypatch, times):
    """Not at once, once for each pause, and when the disk has room again there is a round."""
    create(ports)
    ingest(ports, "plane", blobs(50)[0])

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(planning, "featurize", full)
        for _ in range(times):
            assert len(tend(ports, "plane").asked) == 1
            run_jobs(ports)
            assert ports.jobs.recent("plane", JobKind.PLAN, 1)[0].state is JobState.FAILED
            assert tend(ports, "plane").asked == ()
            clock.turn(PAUSE.total_seconds() + 1)
    assert len(tend(ports, "plane").asked) == 1
    run_jobs(ports)
    assert ports.rounds.serving("plane") is not None
