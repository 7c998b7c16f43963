"""What the loop relies on in ports.Bus, and that workers run our job functions and nothing else, on a real server."""

import json
import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from bus_jobs import ListedJob
from rq import Queue
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from labelloop.adapters.rq import RqBus, bus, connect, sampler_worker, steward_worker, trainer_worker
from labelloop.adapters.rq.allowlist import AllowListedJob
from labelloop.domain.errors import NotAllowed, Unavailable
from labelloop.domain.states import JobKind, JobState
from labelloop.domain.types import Job


def job(kind=JobKind.PLAN, attempt=1):
    return Job(
        id=f"{kind}-birds-7",
        project="birds",
        kind=kind,
        due_key="x",
        reason="",
        state=JobState.DUE,
        attempt=attempt,
        progress=0,
        message="",
        result=None,
        problem=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.fixture
def called(monkeypatch):
    """Stands in for labelloop.jobs and notes what the worker of this process called."""
    calls = []
    module = SimpleNamespace(
        plan=lambda *args: calls.append(("plan", *args)),
        train=lambda *args: calls.append(("train", *args)),
        tidy=lambda *args: calls.append(("tidy", *args)),
    )
    monkeypatch.setitem(sys.modules, "labelloop.jobs", module)
    return calls


def waiting(connection, name):
    return len(Queue(name, connection=connection))


def stored(connection, data, **fields):
    """A job as an intruder would write it, past every class of ours."""
    intruder = RqJob("intruder", connection=connection, serializer=JSONSerializer)
    intruder.origin = "steward"
    intruder.created_at = datetime(2026, 1, 1, tzinfo=UTC)
    intruder._data = json.dumps(data).encode()
    intruder.save()
    connection.hset(intruder.key, mapping={"status": "queued", **fields})
    connection.rpush("rq:queue:steward", intruder.id)
    connection.sadd("rq:queues", "rq:queue:steward")
    return intruder.key


# --- send --------------------------------------------------------------------------------------------------


def test_a_job_reaches_the_worker_of_its_kind(connection, called):
    """A plan job is run by the sampler with its id and attempt, and by nobody else."""
    RqBus(connection).send(job(attempt=3))
    assert (waiting(connection, "sampler"), waiting(connection, "trainer")) == (1, 0)
    steward_worker(connection).work(burst=True)
    assert called == []
    sampler_worker(connection).work(burst=True)
    assert called == [("plan", "plan-birds-7", 3)]


def test_a_train_job_goes_to_the_trainer(connection):
    """The kind decides the queue and the function; the message holds ids only, as JSON."""
    RqBus(connection).send(job(JobKind.TRAIN))
    assert waiting(connection, "trainer") == 1
    kept = AllowListedJob.fetch("train-birds-7-1", connection=connection, serializer=JSONSerializer)
    assert kept.func_name == "labelloop.jobs.train"
    assert json.loads(kept.data) == ["labelloop.jobs.train", None, ["train-birds-7", 1], {}]


def test_sending_an_attempt_again_is_no_error(connection):
    """An attempt waits once, however often it is sent and by whomever; the next attempt is another message."""
    RqBus(connection).send(job())
    RqBus(connection).send(job())
    assert waiting(connection, "sampler") == 1
    RqBus(connection).send(job(attempt=2))
    assert waiting(connection, "sampler") == 2


def test_an_attempt_that_no_worker_could_claim_goes_out_again(connection, monkeypatch):
    """The store was away when the worker wanted to claim it: the steward's next message is taken up."""
    calls = []

    def plan(*args):
        calls.append(args)
        if len(calls) == 1:
            raise Unavailable("the store is away")

    monkeypatch.setitem(sys.modules, "labelloop.jobs", SimpleNamespace(plan=plan))
    sender = RqBus(connection)
    sender.send(job())
    sampler_worker(connection).work(burst=True)
    sender.send(job())
    sampler_worker(connection).work(burst=True)
    assert calls == [("plan-birds-7", 1)] * 2


@pytest.mark.parametrize("state", ["started", "queued"])
def test_an_attempt_whose_worker_died_before_the_claim_goes_out_again(connection, monkeypatch, state):
    """Killed between taking the message up and claiming the job; one that is being taken up now is left alone."""
    sender = RqBus(connection)
    sender.send(job())
    assert connection.lpop("rq:queue:sampler") == b"plan-birds-7-1"
    connection.hset("rq:job:plan-birds-7-1", mapping={"status": state, "started_at": ""})
    sender.send(job())
    assert waiting(connection, "sampler") == 0
    monkeypatch.setattr(bus, "CLAIMING", bus.CLAIMING * 0)
    sender.send(job())
    assert waiting(connection, "sampler") == 1
    sender.send(job())
    assert waiting(connection, "sampler") == 1


def test_a_server_that_is_gone_is_unavailable(tmp_path):
    """A job that cannot be sent is an error, a nudge that cannot be sent is none."""
    lost = RqBus(connect(f"unix://{tmp_path}/none.sock"))
    with pytest.raises(Unavailable, match="plan-birds-7"):
        lost.send(job())
    lost.nudge("birds")


# --- nudge -------------------------------------------------------------------------------------------------


def test_many_nudges_are_few_passes(connection, called):
    """However many processes nudge however often, at most two passes wait: one of them after the one that runs."""
    for _ in range(5):
        RqBus(connection).nudge("birds")
    assert waiting(connection, "steward") == 2
    steward_worker(connection).work(burst=True)
    assert called == [("tidy", "birds")] * 2


def test_one_process_nudges_rarely(connection, monkeypatch):
    """A burst of answers is one nudge per project; a moment later there may be another."""
    monkeypatch.setattr(bus, "NUDGE_SECONDS", 0.05)
    nudging = RqBus(connection)
    for _ in range(100):
        nudging.nudge("birds")
    nudging.nudge("bees")
    assert waiting(connection, "steward") == 2
    time.sleep(0.06)
    nudging.nudge("birds")
    assert waiting(connection, "steward") == 3


def test_after_a_pass_the_next_nudge_counts_at_once(connection, called):
    """Neither a finished nor a failed pass keeps the next from being asked for."""
    for _ in range(3):
        RqBus(connection).nudge("birds")
        steward_worker(connection).work(burst=True)
    assert called == [("tidy", "birds")] * 3
    sys.modules["labelloop.jobs"].tidy = lambda _: called.append(1 / 0)
    RqBus(connection).nudge("birds")
    steward_worker(connection).work(burst=True)
    RqBus(connection).nudge("birds")
    assert waiting(connection, "steward") == 1


# --- the allow-list ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["os.system", "labelloop.jobs.ports", "subprocess.call", "bus_jobs.note"])
def test_no_other_function_runs(connection, called, tmp_path, name):
    """A function that somebody wrote into Redis by name is refused, and the worker goes on."""
    trace = tmp_path / "trace"
    key = stored(connection, [name, None, [f"touch {trace}"], {}])
    worker = steward_worker(connection)
    worker.work(burst=True)
    assert not trace.exists()
    assert connection.hget(key, "status") == b"failed"
    RqBus(connection).nudge("birds")
    worker.work(burst=True)
    assert called == [("tidy", "birds")]


def test_nothing_is_imported_before_it_is_refused(connection, tmp_path, monkeypatch):
    """Importing a module runs it, so a refused name is not even imported."""
    (tmp_path / "trap_of_a_test.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    stored(connection, ["trap_of_a_test.run", None, [], {}])
    steward_worker(connection).work(burst=True)
    assert not (tmp_path / "sprung").exists()


def test_methods_of_values_do_not_run(connection, called):
    """A listed name on some value is not our function."""
    stored(connection, ["labelloop.jobs.tidy", "some text", ["birds"], {}])
    steward_worker(connection).work(burst=True)
    assert called == []


def test_callbacks_do_not_run(connection, called, tmp_path):
    """A listed function with a foreign callback runs without it, also when it fails."""
    trap = {"success_callback_name": "os.system", "failure_callback_name": "os.system", "stopped_callback_name": "os.x"}
    key = stored(connection, ["labelloop.jobs.tidy", None, ["birds"], {}], **trap)
    kept = AllowListedJob.fetch(key.rsplit(":", 1)[1], connection=connection, serializer=JSONSerializer)
    assert (kept.success_callback, kept.failure_callback, kept.stopped_callback) == (None, None, None)
    steward_worker(connection).work(burst=True)
    assert called == [("tidy", "birds")]


def test_a_pickle_is_not_opened(connection, tmp_path):
    """Bytes that are not JSON fail the job and run nothing."""
    trace = tmp_path / "trace"
    payload = b"cos\nsystem\n(S'touch " + str(trace).encode() + b"'\ntR."
    key = stored(connection, [])
    connection.hset(key, "data", payload)
    steward_worker(connection).work(burst=True)
    assert not trace.exists()


def test_other_functions_cannot_even_be_sent(connection):
    """The list is checked where a job is made, too."""
    queue = bus.queue("steward", connection)
    with pytest.raises(NotAllowed, match=r"posix\.getpid"):
        queue.enqueue(os.getpid)
    assert waiting(connection, "steward") == 0


# --- workers -----------------------------------------------------------------------------------------------


def test_each_worker_listens_to_one_queue(connection):
    """More than one queue loses jobs when a worker is killed."""
    workers = [sampler_worker(connection), trainer_worker(connection), steward_worker(connection)]
    assert [worker.queue_names() for worker in workers] == [["sampler"], ["trainer"], ["steward"]]


def test_the_trainer_works_in_a_process_of_its_own(connection, tmp_path):
    """A job of the trainer runs in a new process, with the same list; a refused or broken one does not end it."""
    trace = tmp_path / "trace"
    queue = Queue("trainer", connection=connection, job_class=ListedJob, serializer=JSONSerializer)
    for text in ("one", "two"):
        queue.enqueue_call("bus_jobs.note", args=(str(trace), text))
    queue.enqueue_call("bus_jobs.fail", args=(str(trace),))
    worker = trainer_worker(connection, job_class=ListedJob)
    worker.work(burst=True)
    said = [line.split() for line in trace.read_text().splitlines()]
    assert [text for text, _ in said] == ["one", "two", "failed"]
    assert len({pid for _, pid in said} | {str(os.getpid())}) == 4
    refused = tmp_path / "refused"
    queue.enqueue_call("bus_jobs.note", args=(str(refused), "x"))
    trainer_worker(connection).work(burst=True)
    assert not refused.exists()


# --- forget ------------------------------------------------------------------------------------------------


def test_a_forgotten_project_has_no_message_left(connection, called):
    """Waiting, done and failed ones go, and nudges; another project's stay and are run."""
    messages = RqBus(connection)
    messages.send(job(JobKind.TRAIN))
    messages.send(job())
    sampler_worker(connection).work(burst=True)  # done, and remembered for a while
    messages.nudge("birds")
    messages.send(job(JobKind.PLAN, attempt=2))
    broken = replace(job(JobKind.MAP), id="map-birds-P9-1")
    messages.send(broken)
    kept = AllowListedJob.fetch("map-birds-P9-1-1", connection=connection, serializer=JSONSerializer)
    kept.set_status("failed")
    connection.lrem("rq:queue:trainer", 0, kept.id)
    connection.zadd("rq:failed:trainer", {kept.id: 2**40})
    connection.zadd("rq:wip:trainer", {"train-birds-7-1:e1": 2**40})
    messages.send(replace(job(JobKind.TRAIN), id="train-birds-of-prey-1", project="birds-of-prey"))
    messages.forget("birds")
    messages.forget("birds")
    left = [key for key in connection.keys("*") if b"birds" in key and b"of-prey" not in key]
    assert left == []
    for zset in ("rq:finished:sampler", "rq:failed:trainer", "rq:wip:trainer"):
        assert connection.zrange(zset, 0, -1) == []
    assert (waiting(connection, "sampler"), waiting(connection, "trainer"), waiting(connection, "steward")) == (0, 1, 0)
    trainer_worker(connection)
    assert Queue("trainer", connection=connection).get_job_ids() == ["train-birds-of-prey-1-1"]


def test_without_redis_forgetting_says_so():
    """Who deletes must know that messages stay."""
    with pytest.raises(Unavailable, match="Redis does not answer"):
        RqBus(connect("unix:///nowhere/redis.sock")).forget("birds")
