"""Who has a key, and what becomes of one: it ends, or whoever bears it can do something else from now on.

A key itself is shown once and kept nowhere. People speak of it by its id, which says nothing about it.
"""

from collections.abc import Iterable
from typing import Any

from labelloop.domain import skills
from labelloop.domain.errors import Conflict, NotFound
from labelloop.domain.types import Identity, KnownKey
from labelloop.ports import Ports


def listed(
    ports: Ports, *, subject: str | None = None, project: str | None = None, revoked: bool = False
) -> list[KnownKey]:
    """The keys that open, oldest first: of one subject, or limited to one project; revoked ones too where asked for."""
    return [
        key
        for key in ports.keys.known()
        if (revoked or key.revoked_at is None)
        and subject in {None, key.identity.subject}
        and project in {None, key.identity.project}
    ]


def keep(ports: Ports, identity: Identity, digest: str) -> KnownKey:
    """Keep a key that was made, by its digest.

    Raises:
        UnknownProject: it is limited to a project that is not there.
        Conflict: the digest is known, and the key revoked or somebody else's.
    """
    if identity.project is not None:
        ports.projects.row(identity.project)
    ports.keys.create(identity, digest, ports.clock.now())
    return named(ports, digest)


def named(ports: Ports, name: str) -> KnownKey:
    """The key of this id, or of this digest; revoked or not.

    Raises:
        NotFound: there is none.
    """
    for key in ports.keys.known():
        if name in {key.id, key.digest}:
            return key
    raise NotFound("Nobody knows this key. `labelloop key list` shows the keys there are, by their ids.")


def revoke(ports: Ports, key: KnownKey) -> KnownKey:
    """End a key, from some seconds on: processes remember keys so long. One that is revoked stays as it is."""
    ports.keys.revoke(key.digest, ports.clock.now())
    return named(ports, key.digest)


def equip(ports: Ports, key: KnownKey, carried: Iterable[str]) -> KnownKey:
    """Let a key carry these skills and no others. Leases that are out stay.

    Raises:
        Invalid: what is no skill.
        Conflict: the key is revoked.
    """
    told = frozenset(skills.read(list(carried), most=skills.MOST_CARRIED))
    if not ports.keys.equip(key.digest, told):
        raise Conflict(f"The key {key.id} is revoked. Make {key.identity.subject!r} a new one with these skills.")
    return named(ports, key.digest)


def whose(identity: Identity) -> dict[str, Any]:
    """Whom a key stands for and what it may do, as plain values."""
    return {
        "subject": identity.subject,
        "role": identity.role,
        "project": identity.project,
        "skills": sorted(identity.skills),
    }


def told(key: KnownKey) -> dict[str, Any]:
    """A key as plain values: its id, whose it is, and since and until when."""
    return {"id": key.id, **whose(key.identity), "created_at": key.created_at, "revoked_at": key.revoked_at}
