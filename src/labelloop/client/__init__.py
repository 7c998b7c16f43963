"""The Python client: every call of the HTTP API as a method, repeated safely when the service is away for a moment.

Answers come back as the plain dictionaries of the wire, except what programs work with in loops: leases and outcomes
are frozen values. It speaks HTTP only and imports nothing of the service.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode
from uuid import uuid4

from labelloop.client.connection import Connection
from labelloop.client.errors import ClientError
from labelloop.client.sending import MOST_NAMED, Lines

__all__ = ["Client", "ClientError", "Ingested", "Lease", "Leases", "Outcome", "Work"]

RENEW_PART = 1 / 3
"""Leases are renewed when this part of their time is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One item that is reserved for us until `expires_at`."""

    lease: str
    item: int
    key: str
    data: Mapping[str, Any]
    lane: str
    expires_at: datetime
    prediction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leases(Sequence[Lease]):
    """Leases we hold. When there are none, `reason` says why, and `retry_after` when to ask again, if ever."""

    leases: tuple[Lease, ...]
    retry_after: float | None = None
    reason: str | None = None

    def __getitem__(self, index: Any) -> Any:
        return self.leases[index]

    def __len__(self) -> int:
        return len(self.leases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one answer, or of another request about a lease."""

    lease: str
    outcome: str
    item: int | None = None
    reason: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What became of the items we sent."""

    received: int
    added: int
    duplicates: int
    labeled: int
    """Items that waited in the pool until a duplicate brought their label."""
    invalid: tuple[Mapping[str, Any], ...]
    """`{line, error}` of what did not go in, up to a thousand of them."""


class Client:
    """A connection to a labelloop service; safe to share between threads.

    Args:
        url: Where the service listens, such as `http://127.0.0.1:8321`.
        key: An API key, `ll_…`.
        timeout: Seconds to wait for one answer.
        patience: Seconds to go on trying while the service is away; 0 tries once.

    Raises:
        ClientError: address or key cannot be right; nothing was sent. Every call raises it too, also when nobody
            answered, then with status 0.
    """

    def __init__(self, url: str, key: str, *, timeout: float = 60.0, patience: float = 45.0) -> None:
        self._connection = Connection(url, key, timeout=timeout, patience=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    # --- people and keys ---------------------------------------------------------------------------------------

    def whoami(self) -> dict[str, Any]:
        """Whom our key stands for: `{subject, role, project, skills}`."""
        return self._get("/v1/whoami")

    def create_key(
        self, subject: str, role: str = "annotator", *, project: str | None = None, skills: Iterable[str] = ()
    ) -> str:
        """Make a key; it is shown this once. Not repeated after a broken connection: look before you ask again.

        `skills` are what the annotator can do, such as `lang:de`: items that require it come to those who have it.
        """
        body = {"subject": subject, "role": role, "project": project, "skills": list(skills)}
        return str(self._connection.call("POST", "/v1/keys", body=body, repeat=False)["key"])

    def keys(
        self, *, subject: str | None = None, project: str | None = None, revoked: bool = False
    ) -> list[dict[str, Any]]:
        """Who has a key: `{id, subject, role, project, skills, created_at, revoked_at}`, never the key itself.

        Of one subject, or limited to one project; `revoked` ones too. Needs the role admin.
        """
        asked = {"subject": subject, "project": project, "revoked": str(revoked).lower()}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return list(self._get(f"/v1/keys?{query}")["keys"])

    def revoke_key(self, key: str) -> dict[str, Any]:
        """End a key, by its id, within seconds. What its bearer holds comes back when the leases end."""
        return self._connection.call("DELETE", f"/v1/keys/{key}")

    def change_skills(self, key: str, skills: Iterable[str]) -> dict[str, Any]:
        """Say what the bearer of a key, by its id, can do from now on: these skills and no others."""
        return self._connection.call("PUT", f"/v1/keys/{key}/skills", body={"skills": list(skills)})

    def ready(self) -> bool:
        """Whether the store and the queue answer; False also when the service is away."""
        return self._connection.ready()

    # --- projects ------------------------------------------------------------------------------------------------

    def create_project(self, project: Mapping[str, Any]) -> str:
        """Create a project from its file as plain values; the same again changes nothing. Returns its name."""
        return str(self._post("/v1/projects", project)["project"])

    def update_project(self, project: Mapping[str, Any], *, dry: bool = False) -> dict[str, Any]:
        """Put another file of a project in force: `{edition, differences: [{key, before, after}], reorders, retrains}`.

        With `dry` only what would change is told. A call that was repeated after a broken connection may find its own
        work done, and then tells of no differences.
        """
        return self._connection.call("PUT", f"/v1/projects/{project['name']}?dry={str(dry).lower()}", body=project)

    def project_file(self, project: str, edition: int | None = None) -> dict[str, Any]:
        """The project's file with all defaults: the edition in force, or another one."""
        return self._get(f"/v1/projects/{project}/file" + (f"?edition={edition}" if edition is not None else ""))

    def editions(self, project: str) -> list[dict[str, Any]]:
        """The editions of the project's file, newest first, each with what differs from the one before."""
        return list(self._get(f"/v1/projects/{project}/editions")["editions"])

    def projects(self) -> list[dict[str, Any]]:
        """The projects we may see."""
        return list(self._get("/v1/projects")["projects"])

    def project(self, project: str) -> dict[str, Any]:
        """How a project stands."""
        return self._get(f"/v1/projects/{project}")

    def pause(self, project: str) -> None:
        """Hand out no more work."""
        self._post(f"/v1/projects/{project}/pause")

    def resume(self, project: str) -> None:
        """Hand out work again."""
        self._post(f"/v1/projects/{project}/resume")

    def delete_project(self, project: str) -> dict[str, Any]:
        """Delete a project for good, with all labels: `export` it before. Needs the role admin.

        Returns how much went, `{items, annotations, models, keys}`, and `waits_for`: None when its name is free.
        """
        return self._connection.call("DELETE", f"/v1/projects/{project}")

    def annotators(self, project: str) -> list[dict[str, Any]]:
        """What each annotator did."""
        return list(self._get(f"/v1/projects/{project}/annotators")["annotators"])

    def agreement(self, project: str) -> dict[str, Any] | None:
        """How far the annotators agree on items that two or more answered; None where votes are not single classes."""
        found: dict[str, Any] | None = self._get(f"/v1/projects/{project}/annotators")["agreement"]
        return found

    def annotator(self, project: str) -> dict[str, Any]:
        """What we did ourselves."""
        return self._get(f"/v1/projects/{project}/annotators/me")

    # --- items and labels ------------------------------------------------------------------------------------------

    def ingest(self, project: str, items: Iterable[Mapping[str, Any]]) -> Ingested:
        """Send items `{key, data, label?, gold?, metadata?, needed?, requires?, synthetic?}`: any number, none is held.

        Scalars and arrays of numpy are taken as the numbers they hold. An item that cannot be JSON, such as one with
        NaN, comes back in `invalid` like any bad one. After an error send the same again: known keys change nothing but
        the label of an item that waits. A sequence is sent again by itself; an iterator cannot be, and its error is
        raised.
        """
        headers = {"Content-Type": "application/x-ndjson"}
        path = f"/v1/projects/{project}/items"
        again = iter(items) is not items
        lines = Lines(items)
        found = self._connection.call("POST", path, content=lambda: iter(lines), headers=headers, repeat=again)
        invalid = sorted([*found["invalid"], *lines.invalid], key=lambda one: int(one["line"]))
        return Ingested(
            received=found["received"] + lines.bad,
            added=found["added"],
            duplicates=found["duplicates"],
            labeled=found.get("labeled", 0),
            invalid=tuple(invalid[:MOST_NAMED]),
        )

    def export(
        self, project: str, *, training_set: str | None = None, near_duplicates: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """Every label with its provenance, or one training set by its digest, row by row.

        With `near_duplicates`, such as 0.98, also the waiting items that are so similar to an answered one.
        """
        asked = {"training_set": training_set, "near_duplicates": near_duplicates}
        query = {"format": "jsonl"} | {name: str(value) for name, value in asked.items() if value is not None}
        for line in self._connection.lines(f"/v1/projects/{project}/export", query):
            yield json.loads(line)

    def predictions(
        self, project: str, *, model: int | None = None, least: float = 0.0, probabilities: bool = False
    ) -> Iterator[dict[str, Any]]:
        """What the champion, or another model, says of every item that nobody answered, row by row.

        `least` leaves out what it is less sure of; `probabilities` tells those of every class. None of it is a label.
        """
        query = {"format": "jsonl", "least": str(least), "probabilities": str(probabilities).lower()}
        query |= {} if model is None else {"model": str(model)}
        for line in self._connection.lines(f"/v1/projects/{project}/predictions", query):
            yield json.loads(line)

    def history(self, project: str, item: int) -> dict[str, Any]:
        """Everything that ever happened to one item."""
        return self._get(f"/v1/projects/{project}/items/{item}/history")

    # --- work --------------------------------------------------------------------------------------------------------

    def lease(self, project: str, count: int = 1) -> Leases:
        """Ask for up to `count` items.

        A try whose answer got lost may have leased items; they come back by themselves, or by `open_leases`.
        """
        return _leases(self._post(f"/v1/projects/{project}/leases", {"count": count}))

    def open_leases(self, project: str) -> Leases:
        """What we hold already."""
        return _leases(self._get(f"/v1/projects/{project}/leases"))

    def renew(self, project: str, leases: Iterable[str]) -> list[Outcome]:
        """Give leases their full time again."""
        return self._change(project, "renew", leases)

    def release(self, project: str, leases: Iterable[str]) -> list[Outcome]:
        """Give leases back; the items may come to anyone again."""
        return self._change(project, "release", leases)

    def skip(self, project: str, leases: Iterable[str]) -> list[Outcome]:
        """Give leases back for good: the items never come to us again."""
        return self._change(project, "skip", leases)

    def annotate(
        self, project: str, annotations: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> list[Outcome]:
        """Hand in answers `{lease, label | result, seconds?, comment?}`; one outcome each.

        Safe to repeat: the call carries an Idempotency-Key, made here unless one is given.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
        path = f"/v1/projects/{project}/annotations"
        return _outcomes(self._post(path, {"annotations": list(annotations)}, headers=headers))

    def work(self, project: str, count: int = 10) -> "Work":
        """A batch as a context: leases are renewed while you work, and what is left unanswered goes back."""
        return Work(client=self, project=project, count=count)

    # --- rounds, trainings, models -----------------------------------------------------------------------------------

    def request_round(self, project: str, *, idempotency_key: str | None = None) -> str:
        """Ask for a new ranking. Returns the job."""
        headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
        return str(self._post(f"/v1/projects/{project}/rounds", headers=headers)["job"])

    def request_training(self, project: str, *, idempotency_key: str | None = None) -> str:
        """Ask for a retrain cycle. Returns the job."""
        headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
        return str(self._post(f"/v1/projects/{project}/trainings", headers=headers)["job"])

    def job(self, job: str) -> dict[str, Any]:
        """How a job stands."""
        return self._get(f"/v1/jobs/{job}")

    def wait(self, job: str, *, timeout: float = 600.0, poll: float = 0.5) -> dict[str, Any]:
        """Look at a job until it has ended.

        Raises:
            TimeoutError: it has not ended within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = self.job(job)
            if found["state"] in {"done", "failed"}:
                return found
            if time.monotonic() + poll > deadline:
                msg = f"The job {job} is still {found['state']} after {timeout:g} s. Are the workers running?"
                raise TimeoutError(msg)
            time.sleep(poll)

    def models(self, project: str) -> dict[str, Any]:
        """The registry: `{champion, models}`."""
        return self._get(f"/v1/projects/{project}/models")

    def promote(self, project: str, number: int) -> dict[str, Any]:
        """Make a model the champion; an older number rolls back."""
        return self._post(f"/v1/projects/{project}/models/{number}/promote")

    def classes(self, project: str) -> dict[str, Any]:
        """Of each class: the labels there are and that are wanted, and what each lane brought beside chance."""
        return self._get(f"/v1/projects/{project}/classes")

    def curve(self, project: str) -> dict[str, Any]:
        """The learning curve."""
        return self._get(f"/v1/projects/{project}/curve")

    # --- the wire ----------------------------------------------------------------------------------------------------

    def _change(self, project: str, verb: str, leases: Iterable[str]) -> list[Outcome]:
        return _outcomes(self._post(f"/v1/projects/{project}/leases/{verb}", {"leases": list(leases)}))

    def _get(self, path: str) -> dict[str, Any]:
        return self._connection.call("GET", path)

    def _post(self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        return self._connection.call("POST", path, body=body, headers=headers)


@dataclass(slots=True, kw_only=True)
class Work:
    """A batch in hand. Iterate over its leases, `answer` or `skip` each; leaving gives the rest back.

    With an exception inside, too, the rest goes back. A renewal that fails is tried again at the next beat; an answer
    to a lease that ran out meanwhile is still taken, as `late` or `surplus`.
    """

    client: Client
    project: str
    count: int
    leases: Leases = field(default_factory=lambda: Leases(leases=()))
    _open: dict[str, Lease] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        asked_at = datetime.now(UTC)
        self.leases = self.client.lease(self.project, self.count)
        self._open = {one.lease: one for one in self.leases}
        if self._open:
            seconds = min((one.expires_at - asked_at).total_seconds() for one in self.leases)
            beat = max(seconds * RENEW_PART, 0.2)
            self._thread = threading.Thread(target=self._renew, args=(beat,), name="labelloop-renew", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            rest = list(self._open)
            self._open.clear()
        if rest:
            with contextlib.suppress(ClientError):  # they run out by themselves
                self.client.release(self.project, rest)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self.leases)

    def __len__(self) -> int:
        return len(self.leases)

    def answer(self, lease: Lease, label: str | None = None, **others: Any) -> Outcome:
        """Hand in one answer: a class, or `result=…`; also `seconds=…` and `comment=…`."""
        given = {"label": label, **others}
        answer = {"lease": lease.lease, **{name: value for name, value in given.items() if value is not None}}
        outcome = self.client.annotate(self.project, [answer])[0]
        if outcome.outcome != "rejected":
            self._forget(lease)
        return outcome

    def skip(self, lease: Lease) -> Outcome:
        """Say that we cannot answer this one."""
        outcome = self.client.skip(self.project, [lease.lease])[0]
        self._forget(lease)
        return outcome

    def _forget(self, lease: Lease) -> None:
        with self._lock:
            self._open.pop(lease.lease, None)

    def _renew(self, beat: float) -> None:
        while not self._stop.wait(beat):
            with self._lock:
                held = list(self._open)
            if held:
                with contextlib.suppress(ClientError):
                    self.client.renew(self.project, held)


def _leases(found: Mapping[str, Any]) -> Leases:
    leases = tuple(Lease(**_known(Lease, one)) for one in found["leases"])
    return Leases(leases=leases, retry_after=found.get("retry_after"), reason=found.get("reason"))


def _outcomes(found: Mapping[str, Any]) -> list[Outcome]:
    return [Outcome(**_known(Outcome, one)) for one in found["outcomes"]]


def _known(kind: type[Lease | Outcome], members: Mapping[str, Any]) -> dict[str, Any]:
    """The members this client knows, so that a newer service may say more."""
    known = {name: members[name] for name in kind.__dataclass_fields__ if name in members}
    if "expires_at" in known:
        known["expires_at"] = datetime.fromisoformat(known["expires_at"])
    return known
