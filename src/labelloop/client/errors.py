"""What a call of the client can end with, other than its answer: what the service said, or why it said nothing."""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """The service refused a call, or there was none to ask.

    `problem` is what it said (RFC 9457), `status` the HTTP status. Where nobody answered, or nothing could be sent,
    `status` is 0, `problem` is ours, and `slug` one of `wrong-address`, `wrong-key`, `not-sendable`, `unreachable`.
    """

    def __init__(self, problem: Mapping[str, Any], *, retry_after: float | None = None) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or problem))
        self.problem = problem
        self.status = int(problem.get("status", 0))
        self.slug = str(problem.get("type", "")).rpartition(":")[2]
        self.retry_after = retry_after


def of_our_own(slug: str, detail: str) -> ClientError:
    """An error about which no service was heard."""
    title = slug.replace("-", " ").capitalize()
    return ClientError({"type": f"urn:labelloop:problem:{slug}", "title": title, "status": 0, "detail": detail})
