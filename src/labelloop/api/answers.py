"""What goes out: domain values as JSON, by orjson, with the names of the wire."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from starlette.responses import Response

from labelloop.domain.types import LeaseOutcome
from labelloop.loop.lease import LeaseBatch

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def dump(value: Any) -> bytes:
    """Any value of ours as JSON."""
    return orjson.dumps(value, default=_plain, option=_OPTIONS)


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as a response."""
    return Response(dump(value), status_code=status, media_type="application/json", headers=dict(headers or {}))


def batch(found: LeaseBatch) -> dict[str, Any]:
    """Leases as they are handed out."""
    members: dict[str, Any] = {"leases": [_lease(found, one) for one in found.leases]}
    if found.retry_after is not None:
        members["retry_after"] = found.retry_after
    if found.reason is not None:
        members["reason"] = found.reason
    return members


def outcomes(found: Sequence[LeaseOutcome]) -> list[dict[str, Any]]:
    """Outcomes, without what they do not say."""
    return [_outcome(one) for one in found]


def _lease(found: LeaseBatch, one: Any) -> dict[str, Any]:
    members = {
        "lease": str(one.id),
        "item": one.item,
        "key": one.key,
        "data": one.data,
        "lane": one.lane,
        "expires_at": _instant(one.expires_at),
    }
    if one.id in found.predictions:
        members["prediction"] = found.predictions[one.id]
    return members


def _outcome(one: LeaseOutcome) -> dict[str, Any]:
    members: dict[str, Any] = {"lease": one.lease, "outcome": one.outcome}
    if one.item is not None:
        members["item"] = one.item
    if one.reason is not None:
        members["reason"] = one.reason
    if one.expires_at is not None:
        members["expires_at"] = _instant(one.expires_at)
    return members


@lru_cache(maxsize=256)  # all leases of a group end at the same instant
def _instant(when: datetime) -> str:
    return when.isoformat()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(type(value).__name__)
