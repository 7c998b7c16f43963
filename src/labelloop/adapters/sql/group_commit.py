"""Group commit: one thread per process writes what many callers wait for, with one commit for all of them.

A commit costs a flush of the disk; a flush costs the same for one operation as for 256. When one of them fails, all
are run again in savepoints, so that the failure is its caller's alone. Callers learn their result after the commit.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from labelloop.adapters.sql.prepared import Session
from labelloop.domain.errors import LabelloopError, Unavailable

MOST = 256
"""Operations per commit."""

T = TypeVar("T")
Open = Callable[[Iterable[int]], AbstractContextManager[Connection]]
OpenFast = Callable[[Iterable[int]], AbstractContextManager[Session]]


@dataclass(slots=True)
class _Operation:
    project: int
    work: Callable[[Session], Any]
    future: "Future[Any]" = field(default_factory=Future)
    result: Any = None
    error: Exception | None = None


class GroupCommit:
    """Runs operations in order of arrival. `begin` opens a write transaction that covers the given projects.

    `begin_fast` does the same at less cost, if the database has such a way.
    """

    def __init__(self, begin: Open, begin_fast: OpenFast | None = None) -> None:
        self._begin = begin
        self._begin_fast: OpenFast = begin_fast or begin
        self._queue: SimpleQueue[_Operation | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()
        self._closed = False

    def run(self, project: int, work: Callable[[Session], T]) -> T:
        """Queue the work, wait for the commit, and return what the work returned or raise what it raised."""
        operation = _Operation(project, work)
        with self._guard:
            if self._closed:
                raise Unavailable("The store is closed. Start the service again.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="labelloop-writer", daemon=True)
                self._thread.start()
            self._queue.put(operation)
        result: T = operation.future.result()
        return result

    def close(self) -> None:
        """Write what is queued, then stop."""
        with self._guard:
            self._closed = True
            thread = self._thread
            self._queue.put(None)
        if thread is not None:
            thread.join()

    def _loop(self) -> None:
        running = True
        while running:
            batch, running = self._collect()
            if batch:
                self._commit(batch)

    def _collect(self) -> tuple[list[_Operation], bool]:
        batch: list[_Operation] = []
        operation = self._queue.get()
        while operation is not None:
            batch.append(operation)
            if len(batch) == MOST:
                return batch, True
            try:
                operation = self._queue.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _commit(self, batch: list[_Operation]) -> None:
        try:
            if not self._all_at_once(batch):
                with self._begin({operation.project for operation in batch}) as connection:
                    for operation in batch:
                        _attempt(connection, operation)
        except Exception as error:  # noqa: BLE001 - whatever it was, each caller must learn that nothing was written
            for operation in batch:
                operation.future.set_exception(_failure(error))
            return
        for operation in batch:
            if operation.error is not None:
                operation.future.set_exception(operation.error)
            else:
                operation.future.set_result(operation.result)

    def _all_at_once(self, batch: list[_Operation]) -> bool:
        """Run and commit all without savepoints, which cost more than what they guard; False when one failed.

        Nothing of it was written then, and each operation is run again in a savepoint of its own. Operations look at
        the store before they write, so running one twice is harmless.
        """
        try:
            with self._begin_fast({operation.project for operation in batch}) as connection:
                for operation in batch:
                    operation.result = operation.work(connection)
        except (OperationalError, Unavailable):
            raise  # the database itself: again would not help
        except Exception:  # noqa: BLE001 - whichever operation it was, its caller learns in the second run
            return False
        return True


def _attempt(connection: Connection, operation: _Operation) -> None:
    try:
        with connection.begin_nested():
            operation.result = operation.work(connection)
    except OperationalError:
        # The server went away or the disk is full: the transaction may be gone, and with it what others wrote.
        raise
    except Exception as error:
        if connection.invalidated:
            raise
        operation.error = error


def _failure(error: Exception) -> Exception:
    """One exception object per caller: raising adds to its traceback."""
    if isinstance(error, LabelloopError):
        return type(error)(error.detail) if type(error) is Unavailable else Unavailable(error.detail)
    failure = Unavailable(f"The write was not committed: {error}. Try again in a moment.")
    failure.__cause__ = error
    return failure
