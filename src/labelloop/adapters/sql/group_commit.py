"""Group commit: one thread per process writes what many callers wait for, with one commit for all of them.

A commit costs a flush of the disk; a flush costs the same for one operation as for 256. When an operation fails, all
of its group are done again, each in a savepoint of its own, so that the failure of one is its caller's alone; so an
operation must have no effect but on its connection. Callers learn their result after the commit.
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

from labelloop.domain.errors import LabelloopError, Unavailable

MOST = 256
"""Operations per commit."""

T = TypeVar("T")
Open = Callable[[Iterable[int]], AbstractContextManager[Connection]]


@dataclass(slots=True)
class _Operation:
    project: int
    work: Callable[[Connection], Any]
    future: "Future[Any]" = field(default_factory=Future)
    result: Any = None
    error: Exception | None = None


class GroupCommit:
    """Runs operations in order of arrival. `begin` opens a write transaction that covers the given projects."""

    def __init__(self, begin: Open) -> None:
        self._begin = begin
        self._queue: SimpleQueue[_Operation | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()
        self._closed = False
        self._left: tuple[_Operation | None, ...] = ()

    def run(self, project: int, work: Callable[[Connection], T]) -> T:
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
        operation, self._left = self._left[0] if self._left else self._queue.get(), ()
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
            if not self._at_once(batch):
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

    def _join(self, batch: list[_Operation]) -> None:
        """Take in what arrived while the others were done, for the projects that the transaction covers."""
        covered = {operation.project for operation in batch}
        while len(batch) < MOST:
            try:
                operation = self._queue.get_nowait()
            except Empty:
                return
            if operation is None or operation.project not in covered:
                self._left = (operation,)
                return
            batch.append(operation)

    def _at_once(self, batch: list[_Operation]) -> bool:
        """Whether all of it is committed; False when an operation failed and nothing was written."""
        try:
            with self._begin({operation.project for operation in batch}) as connection:
                for operation in batch:  # which grows meanwhile
                    try:
                        operation.result = operation.work(connection)
                    except OperationalError:
                        # The server went away or the disk is full: the transaction may be gone, and no savepoint helps.
                        raise
                    except Exception as error:
                        if connection.invalidated:
                            raise
                        raise _OperationFailed from error
                    if operation is batch[-1]:
                        self._join(batch)
        except _OperationFailed:
            return False
        return True


class _OperationFailed(Exception):
    """Says that the cause is an operation's own, and undoes the transaction."""


def _attempt(connection: Connection, operation: _Operation) -> None:
    try:
        with connection.begin_nested():
            operation.result = operation.work(connection)
    except OperationalError:
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
