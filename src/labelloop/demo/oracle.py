"""A simulated annotator who knows the truth, errs, skips and rests at set rates, and works over HTTP like anyone."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labelloop.client import Client

OPEN = frozenset({"due", "running"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How an oracle works.

    accuracy: rate of right answers. think: seconds per item, in the median. skip: rate of items it passes over.
    abandon: rate of batches it walks away from. batch: items it takes at once. ahead: answers it gives while a
    training runs before it waits for the new model, at most `rest` seconds; 0: it never waits.
    """

    accuracy: float = 0.95
    think: float = 0.02
    skip: float = 0.02
    abandon: float = 0.0
    batch: int = 5
    ahead: int = 0
    rest: float = 20.0


class Oracle:
    """Answers batch after batch. The same seed errs and rests alike."""

    def __init__(
        self, client: Client, project: str, truth: Mapping[str, str], *, habits: Habits, rng: np.random.Generator
    ) -> None:
        self._client, self._project, self._truth = client, project, truth
        self._habits, self._rng = habits, rng
        self._classes = sorted(set(truth.values()))

    def work(self) -> None:
        """Until nothing will come any more.

        Raises:
            ClientError: the service refused a call.
        """
        ahead = 0
        while (done := self._batch()) is not None:
            if self._habits.ahead:
                ahead = ahead + done if self._behind() else 0
                rested = time.monotonic() + self._habits.rest
                while ahead >= self._habits.ahead and time.monotonic() < rested and self._behind():
                    time.sleep(0.2)

    def _batch(self) -> int | None:
        """Take a batch and answer it in one call. Returns how many answers; None when nothing will come any more."""
        held = self._client.lease(self._project, self._habits.batch)
        if not held:
            time.sleep(held.retry_after or 0.0)
            return None if held.retry_after is None else 0
        if self._rng.random() < self._habits.abandon:  # went home: these leases come back when their time is over
            return 0
        answers, skipped = [], []
        for lease in held:
            seconds = float(self._habits.think * self._rng.lognormal(0.0, 0.4))
            time.sleep(seconds)
            if self._rng.random() < self._habits.skip:
                skipped.append(lease.lease)
            else:
                answers.append({"lease": lease.lease, "label": self._label(lease.key), "seconds": round(seconds, 4)})
        if skipped:
            self._client.skip(self._project, skipped)
        return len(self._client.annotate(self._project, answers)) if answers else 0

    def _label(self, key: str) -> str:
        """The truth, or one of the other classes, each as likely."""
        truth = self._truth[key]
        if self._rng.random() < self._habits.accuracy:
            return truth
        return str(self._rng.choice([name for name in self._classes if name != truth]))

    def _behind(self) -> bool:
        """Whether a training runs, or its model has not ranked the queue yet."""
        status = self._client.project(self._project)
        training = any(job["state"] in OPEN for job in status["trainings"][:1])
        ranked_by = status["rounds"][0]["model"] if status["rounds"] else None
        return training or ranked_by != (status["champion"] or {}).get("number")
