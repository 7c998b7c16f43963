"""Group commit: what many callers wait for at the same time is written with one commit for all of them.

A commit costs a flush of the disk; a flush costs the same for one operation as for 256. Whoever comes first writes,
for himself and for all who have come since; the others find their work done when it is their turn. When an operation
fails, all of its group are done again, each in a savepoint of its own, so that the failure of one is its caller's
alone; so an operation must have no effect but on its connection. Callers learn their result after the commit.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from labelloop.domain.errors import LabelloopError, Unavailable

MOST = 256
"""Operations per commit."""

T = TypeVar("T")
Open = Callable[[Iterable[int]], AbstractContextManager[Connection]]


@dataclass(slots=True, eq=False)
class _Operation:
    project: int
    work: Callable[[Connection], Any]
    over: bool = False
    result: Any = None
    error: Exception | None = None


class GroupCommit:
    """Runs operations in order of arrival. `begin` opens a write transaction that covers the given projects."""

    def __init__(self, begin: Open) -> None:
        self._begin = begin
        self._waiting: deque[_Operation] = deque()
        self._turn = threading.Lock()
        self._closed = False

    def run(self, project: int, work: Callable[[Connection], T]) -> T:
        """Do the work, wait for the commit, and return what the work returned or raise what it raised."""
        operation = _Operation(project, work)
        self._waiting.append(operation)
        with self._turn:
            while not operation.over:
                self._write()
        if operation.error is not None:
            raise operation.error
        result: T = operation.result
        return result

    def close(self) -> None:
        """Let those finish who are writing; who comes later is told."""
        self._closed = True
        with self._turn:
            pass

    def _write(self) -> None:
        """Write for all who wait by now."""
        group: list[_Operation] = []
        self._join(group)
        if self._closed:
            _fail(group, Unavailable("The store is closed. Start the service again."))
            return
        try:
            self._commit(group)
        except Exception as error:  # noqa: BLE001 - whatever it was, each caller must learn that nothing was written
            _fail(group, error)
        except BaseException as error:  # we are interrupted, the others are told
            _fail(group, error)
            raise
        for operation in group:
            operation.over = True

    def _join(self, group: list[_Operation]) -> None:
        while len(group) < MOST and self._waiting:
            group.append(self._waiting.popleft())

    def _commit(self, group: list[_Operation]) -> None:
        if self._at_once(group):
            return
        with self._begin({operation.project for operation in group}) as connection:
            for operation in group:
                _attempt(connection, operation)

    def _at_once(self, group: list[_Operation]) -> bool:
        """Whether all of it is committed; False when an operation failed and nothing was written."""
        covered = {operation.project for operation in group}
        try:
            with self._begin(covered) as connection:
                for operation in group:  # which grows meanwhile
                    _run(connection, operation)
                    if operation is group[-1]:
                        self._join_covered(group, covered)
        except _OperationFailed:
            return False
        return True

    def _join_covered(self, group: list[_Operation], covered: set[int]) -> None:
        """Take in who arrived while the others were served, when the transaction covers their project."""
        while len(group) < MOST and self._waiting and self._waiting[0].project in covered:
            group.append(self._waiting.popleft())


class _OperationFailed(Exception):
    """Says that an error is an operation's own, and undoes what it did."""

    def __init__(self, own: Exception) -> None:
        super().__init__(str(own))
        self.own = own


def _run(connection: Connection, operation: _Operation) -> None:
    """Do its work; an error of its own is _OperationFailed, one of the database surfaces as it is."""
    try:
        operation.result = operation.work(connection)
    except OperationalError:
        # The server went away or the disk is full: the transaction may be gone, and no savepoint helps.
        raise
    except Exception as error:
        if connection.invalidated:
            raise
        raise _OperationFailed(error) from error


def _attempt(connection: Connection, operation: _Operation) -> None:
    operation.error = None
    try:
        with connection.begin_nested():
            _run(connection, operation)
    except _OperationFailed as failed:
        operation.error = failed.own


def _fail(group: Iterable[_Operation], error: BaseException) -> None:
    """One exception object per caller: raising adds to its traceback."""
    for operation in group:
        operation.error = _failure(error)
        operation.over = True


def _failure(error: BaseException) -> Exception:
    if isinstance(error, LabelloopError):
        return type(error)(error.detail) if type(error) is Unavailable else Unavailable(error.detail)
    failure = Unavailable(f"The write was not committed: {error}. Try again in a moment.")
    failure.__cause__ = error
    return failure
