"""Under kill -9, forks, failing commits and many hands at once: nothing acknowledged is lost, no cap is exceeded."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import event, text
from store_desk import MINUTE, NAME, Desk, answer, grant, rows, submit, true_to_the_rows

from labelloop.adapters.sql import tables
from labelloop.adapters.sql.store import open_store
from labelloop.domain.errors import IdempotencyMismatch, Unavailable
from labelloop.domain.states import Lane, Role
from labelloop.domain.types import Candidate

CHILD = Path(__file__).with_name("store_child.py")


def test_no_acknowledged_answer_is_lost_under_kill_9(desk):
    """Two processes are killed in the middle of their work; every answer they reported is there."""
    desk.fill(2000)
    acknowledged: set[int] = set()
    children = [
        subprocess.Popen([sys.executable, str(CHILD), desk.url, first, "1000"], stdout=subprocess.PIPE)
        for first in ("0", "1000")
    ]
    for child in children:
        heard = [child.stdout.readline() for _ in range(10)]
        os.kill(child.pid, signal.SIGKILL)
        heard += child.stdout.read().splitlines(keepends=True)
        child.wait()
        child.stdout.close()
        acknowledged |= {int(word) for line in heard if line.endswith(b"\n") for word in line.split()}
    kept = {assignment for (assignment,) in rows(desk.store, tables.annotation.c.assignment)}
    assert len(acknowledged) >= 60
    assert acknowledged <= kept
    true_to_the_rows(desk.store)


def test_many_annotators_at_once_keep_the_rules(desk):
    """Eight threads fight for the same items: no slot has two holders, nobody has two turns, no cap is exceeded."""
    desk.fill(12, needed=3)
    other = open_store(desk.url)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        store, who = (desk.store, other)[number % 2], f"ann{number}"
        try:
            for start in range(0, 12, 4):
                wanted = [Candidate(item=item % 12, lane=Lane.INFORMATIVE) for item in range(start, start + 6)]
                leases = grant(
                    store.ledger, NAME, who, wanted, now=desk.now, expires_at=desk.now + MINUTE, most=100, budget=30
                )
                answers = [answer(lease, "ab"[number % 2]) for lease in leases]
                submit(store.ledger, NAME, who, answers, now=desk.now, role=Role.ANNOTATOR)
                assert store.pool.counts(NAME).conserved
        except BaseException as error:  # noqa: BLE001 - a thread's failure must fail the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert errors == []
    votes = rows(desk.store, tables.annotation.c.item, tables.annotation.c.annotator)
    assert len(votes) == len(set(votes)) == 30
    assert max(Counter(vote.item for vote in votes).values()) <= 3
    true_to_the_rows(desk.store)


def test_the_same_key_at_once_has_one_effect(desk):
    """Retries that overtake each other get the same reply; exactly one is the first."""
    desk.fill(4)
    leases = desk.grant("ann", 0, 1, 2, 3)
    other = open_store(desk.url)
    replies = []

    def send(store) -> None:
        replies.append(
            submit(
                store.ledger,
                NAME,
                "ann",
                [answer(lease) for lease in leases],
                now=desk.now,
                role=Role.ANNOTATOR,
                idempotency=("k", "d"),
            )
        )

    threads = [threading.Thread(target=send, args=(store,)) for store in (desk.store, other) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert sorted(replayed for _, replayed in replies) == [False, *[True] * 5]
    assert all(outcomes == replies[0][0] for outcomes, _ in replies)
    assert desk.store.projects.row(NAME).spent == 4


def test_one_failing_operation_does_not_hurt_its_neighbours(desk):
    """Operations of one commit fail alone: others are written, and only the culprit's caller gets the error."""
    desk.fill(20)
    leases = desk.grant("ann", *range(20))
    desk.submit("ann", leases[0], idempotency=("used", "digest"))
    failed: list[Exception] = []

    def send(number: int) -> None:
        key = ("used", "other") if number % 2 else (f"key{number}", "digest")
        try:
            desk.submit("ann", leases[number], idempotency=key)
        except IdempotencyMismatch as error:
            failed.append(error)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(1, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 10
    assert desk.store.projects.row(NAME).spent == 10


def test_nothing_is_acknowledged_when_the_commit_fails(desk):
    """The disk is full: the caller is told to try again, nothing is written, and the next attempt works."""
    desk.fill(1)
    [lease] = desk.grant("ann", 0)

    def full(connection) -> None:
        raise OSError(28, "No space left on device")

    event.listen(desk.store.engine, "commit", full)
    with pytest.raises(Unavailable, match="not committed"):
        desk.submit("ann", lease)
    event.remove(desk.store.engine, "commit", full)
    assert desk.store.projects.row(NAME).spent == 0
    assert desk.said("ann", lease) == ["accepted"]


def test_a_transaction_that_the_database_gave_up_is_not_acknowledged(tmp_path):
    """On a full disk SQLite rolls back by itself; the commit that follows must not look like a success."""
    store = open_store(f"sqlite:///{tmp_path / 'x.db'}")
    desk = Desk(store, "")
    desk.fill(1)
    [lease] = desk.grant("ann", 0)

    give_up = "CREATE TRIGGER full BEFORE INSERT ON annotation BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END"
    with store.engine.begin() as connection:
        connection.execute(text(give_up))
    with pytest.raises(Unavailable, match="Try again"):
        desk.submit("ann", lease)
    with store.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER full"))
    assert store.projects.row(NAME).spent == 0
    assert desk.said("ann", lease) == ["accepted"]
    true_to_the_rows(store)
    store.close()


def test_a_commit_of_nothing_is_no_success(tmp_path):
    """When the transaction is gone at the end of a write, the writer is told."""
    store = open_store(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(Unavailable, match="gave up"), store.database.write() as connection:
        connection.connection.driver_connection.execute("ROLLBACK")
    store.close()


def test_a_closed_store_says_so(desk):
    """A caller that comes after the shutdown gets an error, not a hang."""
    desk.fill(1)
    desk.store.close()
    with pytest.raises(Unavailable, match="closed"):
        desk.grant("ann", 0)


def test_a_forked_child_works_with_connections_of_its_own(desk):
    """After a fork parent and child both read and write, and neither harms the other."""
    desk.fill(4)
    desk.vote("ann", 0)
    child = os.fork()
    if child == 0:
        try:
            desk.vote("bob", 1)
            done = desk.store.projects.row(NAME).spent == 2
        except BaseException:  # noqa: BLE001 - the child may only leave by its exit code
            done = False
        os._exit(0 if done else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    desk.vote("cid", 2)
    assert desk.store.projects.row(NAME).spent == 3
    true_to_the_rows(desk.store)
