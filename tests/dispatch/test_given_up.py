"""What becomes of jobs that killed their workers: a round is tried again, a training waits for more labels."""

from datetime import timedelta

from conftest_loop import blobs, create, label, run_jobs, start, who

from labelloop.domain.states import JobKind, JobState
from labelloop.loop.ingest import ingest
from labelloop.loop.lease import lease
from labelloop.loop.tend import ATTEMPTS, PAUSE, SILENCE, tend


def kill_workers(ports, clock, kind=JobKind.PLAN):
    """Every worker that takes the waiting job up dies; returns the job as it was given up."""
    for _ in range(ATTEMPTS + 1):
        tend(ports, "plane")
        for job in ports.jobs.unfinished("plane", clock.now() - SILENCE):
            ports.jobs.claim(job.id, job.attempt, clock.now())
        clock.turn(SILENCE.total_seconds() + 1)
    tend(ports, "plane")
    return ports.jobs.recent("plane", kind, 1)[0]


def test_a_round_that_was_given_up_is_asked_for_again_after_a_while(ports, clock, monkeypatch):
    """Not at once, and as often as it takes; the first worker that lives plans it."""
    create(ports)
    ingest(ports, "plane", blobs(30)[0])
    first = kill_workers(ports, clock)
    assert (first.state, first.problem["type"]) == (JobState.FAILED, "gave-up")
    assert tend(ports, "plane").asked == ()
    clock.turn(PAUSE / timedelta(seconds=1))
    second = kill_workers(ports, clock)
    assert second.id != first.id
    assert second.state is JobState.FAILED
    clock.turn(PAUSE / timedelta(seconds=1))
    assert len(tend(ports, "plane").asked) == 1
    monkeypatch.setattr("labelloop.jobs.ports", lambda: ports)
    monkeypatch.setattr("labelloop.jobs.SETTLE_SECONDS", 0)
    run_jobs(ports)
    assert len(lease(ports, "plane", who("anna"), 5).leases) == 5


def test_a_training_that_was_given_up_is_asked_for_again_when_there_are_more_labels(ports, clock, monkeypatch):
    """The same labels would kill the next workers, too; and a training is not urgent: the champion goes on."""
    monkeypatch.setattr("labelloop.jobs.ports", lambda: ports)
    monkeypatch.setattr("labelloop.jobs.SETTLE_SECONDS", 0)
    truth = start(ports)
    label(ports, truth, count=30)
    first = kill_workers(ports, clock, JobKind.TRAIN)
    assert (first.state, first.problem["type"]) == (JobState.FAILED, "gave-up")
    clock.turn(PAUSE / timedelta(seconds=1))
    assert kill_workers(ports, clock, JobKind.TRAIN).id == first.id
    label(ports, truth, count=30)
    assert tend(ports, "plane").asked
    assert ports.jobs.recent("plane", JobKind.TRAIN, 1)[0].id != first.id
