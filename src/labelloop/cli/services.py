"""The part of `doctor` that asks running services: database, Redis, workers, and whether the queue agrees with SQL."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from labelloop.cli.findings import Finding, Level
from labelloop.domain.errors import LabelloopError
from labelloop.domain.states import JobKind, JobState
from labelloop.settings import Settings

if TYPE_CHECKING:  # opening nothing keeps `--help` fast
    from redis import Redis

    from labelloop.ports import Ports

KINDS = ("sampler", "trainer", "steward")
SILENT_SECONDS = 500.0
START = "Run `labelloop up`, or `labelloop worker KIND` beside your own processes."


def sqlite_version() -> tuple[int, ...]:
    """Of the SQLite that the store uses."""
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        from sqlite3 import dbapi2
    version: tuple[int, ...] = dbapi2.sqlite_version_info
    return version


def examine(chosen: Settings) -> Iterator[Finding]:
    """Database, Redis, workers, drift; what stands on a thing that is missing is left out."""
    if chosen.database_url is None and not (chosen.home / "labelloop.db").exists():
        yield Finding(
            check="database", level=Level.WARN, detail="none in the home folder yet", remedy="The first start makes it."
        )
        return
    from labelloop import wiring

    try:
        ports = wiring.build(chosen)
    except LabelloopError as error:
        yield Finding(check="database", level=Level.FAIL, detail=error.detail, remedy="See the error.")
        return
    try:
        yield from _database(ports, chosen)
        yield from _redis(ports, chosen)
    finally:
        wiring.close(ports)


def _database(ports: "Ports", chosen: Settings) -> Iterator[Finding]:
    try:
        names = ports.projects.names()
    except LabelloopError as error:
        yield Finding(
            check="database",
            level=Level.FAIL,
            detail=error.detail,
            remedy="Start it, or correct LABELLOOP_DATABASE_URL.",
        )
        return
    kind = chosen.database.partition(":")[0].partition("+")[0]
    listed = f": {', '.join(names)}" if names else ""
    yield Finding(check="database", level=Level.OK, detail=f"{kind}, {len(names)} projects{listed}")
    for name in names:
        counts = ports.pool.counts(name)
        if not counts.conserved:
            yield Finding(check=f"items of {name}", level=Level.FAIL, detail=str(counts), remedy="Report this.")


def alive(chosen: Settings) -> dict[str, int] | None:
    """Workers by kind, as far as they spoke of late; None where Redis does not answer."""
    import redis

    with suppress(LabelloopError, redis.RedisError), _server(chosen) as server:
        return _alive(server)
    return None


def _server(chosen: Settings) -> "Redis":
    import redis

    from labelloop import wiring

    found: Redis = redis.Redis.from_url(
        wiring.redis_address(chosen), socket_timeout=3, socket_connect_timeout=3, decode_responses=True
    )
    return found


def _redis(ports: "Ports", chosen: Settings) -> Iterator[Finding]:
    import redis

    try:
        server = _server(chosen)
        info = server.info()
    except (LabelloopError, redis.RedisError) as error:
        remedy = "Run `labelloop up`." if chosen.redis_url is None else "Start it, or correct LABELLOOP_REDIS_URL."
        level = Level.WARN if chosen.redis_url is None else Level.FAIL
        yield Finding(check="redis", level=level, detail=f"does not answer: {error}", remedy=remedy)
        return
    yield _memory(dict(info))
    with suppress(redis.RedisError):
        yield from _workers(server)
    for name in ports.projects.names():
        yield _drift(ports, name)
    server.close()


def _memory(info: dict[str, object]) -> Finding:
    version, policy = info.get("valkey_version") or info.get("redis_version"), info.get("maxmemory_policy")
    if policy not in (None, "noeviction"):
        return Finding(
            check="redis",
            level=Level.FAIL,
            detail=f"{version} throws keys away when memory is full (maxmemory-policy {policy})",
            remedy="Set maxmemory-policy to noeviction: jobs and leases must not vanish.",
        )
    return Finding(check="redis", level=Level.OK, detail=f"{version}, {info.get('used_memory_human')} used")


def _alive(server: "Redis") -> dict[str, int]:
    """Workers as rq's registry knows them: each says it lives under a key of its own."""
    found = dict.fromkeys(KINDS, 0)
    for key in server.smembers("rq:workers"):
        fields = {str(name): str(value) for name, value in server.hgetall(str(key)).items()}
        if _age(fields.get("last_heartbeat", "")) < SILENT_SECONDS:
            for queue in fields.get("queues", "").split(","):
                if queue in found:
                    found[queue] += 1
    return found


def _workers(server: "Redis") -> Iterator[Finding]:
    for kind, count in _alive(server).items():
        yield Finding(
            check=f"worker {kind}",
            level=Level.OK if count else Level.WARN,
            detail=f"{count} alive",
            remedy="" if count else START,
        )


def _age(beat: str) -> float:
    from datetime import timedelta

    try:
        then = datetime.fromisoformat(beat)
    except ValueError:
        return timedelta.max.total_seconds()
    return (datetime.now(UTC) - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()


def _drift(ports: "Ports", name: str) -> Finding:
    """Whether the last round could be planned, and Redis serves the one that SQL says."""
    newest = next(iter(ports.jobs.recent(name, JobKind.PLAN, 1)), None)
    if newest is not None and newest.state is JobState.FAILED:
        return Finding(
            check=f"queue of {name}",
            level=Level.FAIL,
            detail=f"{newest.id} failed: {(newest.problem or {}).get('detail', 'no reason was kept')}",
            remedy=f"Mend what it says, then ask for a round: labelloop round plan {name}",
        )
    planned = ports.rounds.serving(name)
    served = ports.queue_health.serving(name)
    wanted = planned.number if planned else None
    if wanted == served:
        detail = f"serves round {served}" if served is not None else "no round yet"
        return Finding(check=f"queue of {name}", level=Level.OK, detail=detail)
    return Finding(
        check=f"queue of {name}",
        level=Level.WARN,
        detail=f"Redis serves round {served}, SQL says {wanted}",
        remedy="A steward rebuilds it within seconds; if this stays, see its log.",
    )
