"""Two stewards on one home: one leads, the other waits, and when the leader is killed the other takes over."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from conftest_loop import blobs, create, who

from labelloop.loop.annotate import annotate
from labelloop.loop.ingest import ingest
from labelloop.loop.lease import lease
from labelloop.loop.plan import plan
from labelloop.loop.tend import tend
from labelloop.wiring import SystemClock

LOCK = "labelloop:lock:steward"
SHORT = {"lease": {"seconds": 1}, "lanes": {"informative": 1, "audit": 0, "window": 100}}


@contextmanager
def steward(home, database, redis_url):
    """A steward as a process of its own, killed at the end."""
    env = {
        **os.environ,
        "LABELLOOP_HOME": str(home),
        "LABELLOOP_DATABASE_URL": database,
        "LABELLOOP_REDIS_URL": redis_url,
    }
    with (home / f"steward-{time.monotonic_ns()}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "labelloop_workers.steward"], env=env, stdout=log, stderr=log)
    try:
        yield process
    finally:
        with_signal(process, signal.SIGKILL)
        process.wait()


def with_signal(process, number):
    if process.poll() is None:
        process.send_signal(number)


def until(met, what, seconds=30):
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def leader(ports):
    """Who holds the lead now; every tick takes it anew."""
    return ports.queue._connection.get(LOCK)


def expired(ports):
    """Leases that a steward marked as over, in the store itself."""
    database = ports.pool._database
    with database.engine.connect() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM assignment WHERE state = 'expired'").scalar()


@pytest.fixture
def live(ports):
    """The ports with the clock of this machine, which the processes have too."""
    return replace(ports, clock=SystemClock())


def serving(ports, **changes):
    create(ports, **{**SHORT, **changes})
    ingest(ports, "plane", blobs(40)[0])
    plan(ports, "plane", lambda _part, _what: None)


@pytest.mark.slow
def test_when_the_leader_is_killed_the_other_takes_over(live, tmp_path, database, redis_home):
    """Expired leases are freed before and after, each item once, and what Redis lost meanwhile is rebuilt."""
    serving(live)
    with (
        steward(tmp_path, database, redis_home.address) as one,
        steward(tmp_path, database, redis_home.address) as two,
    ):
        lease(live, "plane", who("anna"), 5)
        until(lambda: expired(live) == 5, "one of them frees what expired")
        stop_one_that_leads(live, (one, two))
        live.queue_health.forget("plane")
        until(lambda: live.queue_health.serving("plane") == 1, "the other rebuilds Redis")
        got = lease(live, "plane", who("bert"), 7).leases
        assert len({item.item for item in got}) == 7
        until(lambda: expired(live) == 12, "the other frees what expired")
        assert [process.poll() for process in (one, two)].count(None) == 1
        assert live.pool.counts("plane").conserved


def stop_one_that_leads(ports, stewards):
    """Kill -9 of the process that holds the lead: stopped, it keeps the lock that the other would have taken."""
    for process in stewards:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        held = leader(ports)
        time.sleep(0.4)
        if held is not None and leader(ports) == held:
            process.kill()
            return
        process.send_signal(signal.SIGCONT)
    stewards[0].kill()  # both were between two ticks


@pytest.mark.slow
def test_a_leader_that_hangs_loses_the_lead(live, tmp_path, database, redis_home):
    """The other waits while it leads, and follows when its time is over."""
    serving(live)
    live.queue._connection.delete("rq:queue:steward")  # what one is asked for it does, whoever leads
    with live.lock.hold("steward", 12.0) as ours, steward(tmp_path, database, redis_home.address):
        assert ours
        lease(live, "plane", who("anna"), 5)
        time.sleep(4)
        assert expired(live) == 0
        until(lambda: expired(live) == 5, "the other frees what expired")


def test_a_late_goodbye_takes_nobodys_lead_away(ports):
    """Who comes back after its time does not let go of what is another's by now."""
    with ports.lock.hold("steward", 0.2) as first:
        time.sleep(0.4)
        second = ports.lock.hold("steward", 10)
        assert (first, second.__enter__()) == (True, True)
    with ports.lock.hold("steward", 1) as third:
        assert not third
    second.__exit__(None, None, None)
    with ports.lock.hold("steward", 1) as fourth:
        assert fourth


def test_passes_at_the_same_time_do_no_harm(ports, clock):
    """Without any lock: each lease expires once, each ballot is settled once, each wish is asked once."""
    create(ports, votes={"needed": 2}, retrain={"first": 3, "labels": 3})
    ingest(ports, "plane", blobs(40)[0])
    plan(ports, "plane", lambda _part, _what: None)
    for name in ("anna", "bert"):
        mine = lease(ports, "plane", who(name), 12).leases
        annotate(ports, "plane", who(name), [{"lease": str(one.id), "label": "c0"} for one in mine[:8]])
    clock.turn(400)
    reports, failed = [], []

    def one_pass():
        try:
            reports.append(tend(ports, "plane"))
        except BaseException as error:  # noqa: BLE001 - a thread's failure must fail the test
            failed.append(error)

    for _ in range(3):
        threads = [threading.Thread(target=one_pass) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
    counts = ports.pool.counts("plane")
    assert counts.conserved
    assert sum(report.settled for report in reports) == counts.resolved > 0
    assert sum(report.expired for report in reports) == 24 - ports.projects.row("plane").spent
    assert [key for report in reports for key in report.asked if key == "first"] == ["first"]
    assert tend(ports, "plane").repaired == 0
    zoe = [lease(ports, "plane", who(f"zoe-{at}"), 50).leases for at in range(2)]
    assert all({one.item for one in batch} == set(range(40)) - resolved(ports) for batch in zoe)


def resolved(ports):
    return {int(number) for number in ports.pool.labeled("plane")[0]}
