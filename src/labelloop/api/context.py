"""What every route reaches for: the ports, the settings, the key ring and the metrics of one application."""

from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import Depends, Request

from labelloop.api.keys import KeyRing
from labelloop.ports import Ports
from labelloop.settings import Settings
from labelloop.telemetry import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One application's means."""

    ports: Ports
    settings: Settings
    keyring: KeyRing
    metrics: Metrics
    ingests: anyio.CapacityLimiter


def context_of(request: Request) -> Context:
    """The context of the application that serves this request."""
    context: Context = request.app.state.context
    return context


async def _context(request: Request) -> Context:
    return context_of(request)


Use = Annotated[Context, Depends(_context)]
