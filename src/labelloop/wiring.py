"""The only place where adapters meet ports: settings in, all ports out."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from labelloop.adapters.estimators.kinds import EstimatorKinds
from labelloop.adapters.features.store import FeatureFiles
from labelloop.adapters.files.artifacts import ArtifactFiles
from labelloop.adapters.files.claims import ClaimFiles
from labelloop.adapters.files.columns import ColumnFiles
from labelloop.adapters.files.folders import ProjectFolders
from labelloop.adapters.files.maps import MapFiles
from labelloop.adapters.layouts.planes import Planes
from labelloop.adapters.redis import connection as redis_connection
from labelloop.adapters.redis import embedded
from labelloop.adapters.redis.lock import RedisLock
from labelloop.adapters.redis.queue import RedisQueue
from labelloop.adapters.rq import connection as rq_connection
from labelloop.adapters.rq.bus import RqBus
from labelloop.adapters.sql.store import open_store
from labelloop.disk import home
from labelloop.domain.errors import Unavailable
from labelloop.ports import Ports, ScoreFiles
from labelloop.settings import Settings


class SystemClock:
    """Implements ports.Clock by the clock of this machine."""

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired(Ports):
    """Ports with what must be closed at the end."""

    closing: tuple[Callable[[], None], ...]


def build(settings: Settings) -> Ports:
    """All ports over the adapters that the settings name. Migrates the database; Redis is reached on first use.

    Raises:
        Invalid: the home folder cannot be made.
        Unavailable: the database does not answer.
    """
    home.make(settings.home)
    store = open_store(settings.database)
    address = redis_address(settings)
    connection, messages = redis_connection.connect(address), rq_connection.connect(address)
    queue = RedisQueue(connection)
    return Wired(
        clock=SystemClock(),
        projects=store.projects,
        pool=store.pool,
        ledger=store.ledger,
        verdicts=store.verdicts,
        rounds=store.rounds,
        models=store.models,
        jobs=store.jobs,
        keys=store.keys,
        removals=store.removals,
        queue=queue,
        queue_health=queue,
        bus=RqBus(messages),
        claims=ClaimFiles(settings.home),
        features=FeatureFiles(settings.home, settings.item_roots),
        scores=ColumnFiles(settings.home),
        estimators=EstimatorKinds(),
        artifacts=ArtifactFiles(settings.home),
        layouts=Planes(settings.home),
        maps=MapFiles(settings.home),
        folders=ProjectFolders(settings.home),
        lock=RedisLock(connection),
        closing=(store.close, connection.close, messages.close),
    )


def scratch_scores(folder: Path) -> ScoreFiles:
    """Columns of scores in a folder of their own, for work that must not touch those of the service."""
    return ColumnFiles(folder)


def close(ports: Ports) -> None:
    """Finish what was begun and close all connections."""
    for finish in ports.closing if isinstance(ports, Wired) else ():
        finish()


def redis_address(settings: Settings) -> str:
    """The URL of Redis in force: the given one, or the embedded server's of this home.

    Before the embedded server ever ran the usual place of its socket is named, so that what needs no Redis works and
    what needs it says that it does not answer.
    """
    if settings.redis_url is not None:
        return settings.redis_url
    try:
        return embedded.address(settings.home)
    except Unavailable:
        return f"unix://{(settings.home / 'redis' / 'redis.sock').absolute()}"
