"""Messages to workers over rq: ids only, as JSON, and only to functions on a list."""

from labelloop.adapters.rq.bus import RqBus
from labelloop.adapters.rq.connection import connect
from labelloop.adapters.rq.workers import sampler_worker, steward_worker, trainer_worker

__all__ = ["RqBus", "connect", "sampler_worker", "steward_worker", "trainer_worker"]
