"""What a demo sees of its service, asked over HTTP a few times a second; how it is shown is not decided here."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from labelloop.client import Client, ClientError

ENDED = frozenset({"done", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at the project. `models` are newest last."""

    status: Mapping[str, Any] = field(default_factory=dict)
    models: Sequence[Mapping[str, Any]] = ()
    annotators: Sequence[Mapping[str, Any]] = ()

    @property
    def spent(self) -> int:
        """Counted votes."""
        return int(self.status.get("budget", {}).get("spent") or 0)

    @property
    def budget(self) -> int:
        """Votes there are to spend."""
        return int(self.status.get("budget", {}).get("votes") or 0)

    @property
    def trainings(self) -> Sequence[Mapping[str, Any]]:
        """Training jobs, newest first."""
        return list(self.status.get("trainings", ()))

    @property
    def quiet(self) -> bool:
        """Whether every training has ended, and the champion has ranked the queue."""
        champion = (self.status.get("champion") or {}).get("number")
        ranked_by = [planned["model"] for planned in self.status.get("rounds", [])[:1]]
        return all(job["state"] in ENDED for job in self.trainings) and ranked_by == [champion]

    @property
    def exhausted(self) -> bool:
        """Whether the budget is spent."""
        return 0 < self.budget <= self.spent

    @property
    def all_trained(self) -> bool:
        """Whether the newest training knew all labels there are; one that failed would fail again."""
        ended = [job for job in self.trainings if job["state"] in ENDED][:1]
        facts = (ended[0]["result"] or ended[0]["problem"] or {}) if ended else {}
        return int(facts.get("resolved", -1)) >= self.counts.get("resolved", 0)

    @property
    def counts(self) -> Mapping[str, int]:
        """Items by where they stand."""
        return dict(self.status.get("items", {}).get("counts", {}))


class Watcher:
    """Looks; while a process is being started again, it goes on with what it saw last."""

    def __init__(self, client: Client, project: str) -> None:
        self._client, self._project = client, project
        self.last = Snapshot()
        self.answers = False

    def look(self) -> Snapshot:
        """How the project stands."""
        self.answers = False
        with suppress(ClientError):
            self.last = Snapshot(
                status=self._client.project(self._project),
                models=self._client.models(self._project)["models"],
                annotators=self._client.annotators(self._project),
            )
            self.answers = True
        return self.last
