"""What every route reaches for: the ports, the settings, the key ring and the metrics of one application."""

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import anyio
from fastapi import Depends, Request

from labelloop.api.gather import Gather
from labelloop.api.keys import KeyRing
from labelloop.domain.types import Identity
from labelloop.loop.annotate import Recorded, Sheet, annotate_all
from labelloop.loop.lease import Ask, LeaseBatch, lease_all
from labelloop.ports import Ports
from labelloop.settings import Settings
from labelloop.telemetry import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One application's means; `leasing`, `annotating` and `recognising` (whose key?) work for many calls at a time."""

    ports: Ports
    settings: Settings
    keyring: KeyRing
    metrics: Metrics
    ingests: anyio.CapacityLimiter
    leasing: Gather[Ask, LeaseBatch] = field(init=False)
    annotating: Gather[Sheet, Recorded] = field(init=False)
    recognising: Gather[str, Identity | None] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "leasing", Gather[Ask, LeaseBatch](partial(lease_all, self.ports)))
        object.__setattr__(self, "annotating", Gather[Sheet, Recorded](partial(annotate_all, self.ports)))
        # One thread: when the keys of a crowd are looked up again, they do not crowd the store.
        find = self.keyring.find
        object.__setattr__(
            self, "recognising", Gather[str, Identity | None](lambda _, keys: [find(key) for key in keys])
        )


def context_of(request: Request) -> Context:
    """The context of the application that serves this request."""
    context: Context = request.app.state.context
    return context


async def _context(request: Request) -> Context:
    return context_of(request)


Use = Annotated[Context, Depends(_context)]
