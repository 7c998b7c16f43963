"""What a round was made of, kept beside it so that it can be made again; the order itself is made by `compose`.

A round names its seed, model and pool version. What it must know besides changes by the second: who waited, what was
out, which labels there were. It is kept as one immutable artifact (a bit for each item, four bytes for each label),
with the digest of the queries that came of it, because queries are kept for the last rounds only.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from typing import Any

import numpy as np
import orjson
from threadpoolctl import threadpool_info

from labelloop.domain.errors import BadArtifact
from labelloop.domain.states import Lane
from labelloop.domain.types import ItemNumber, Json, Query
from labelloop.loop.pool import PoolView
from labelloop.maths.arrays import Ints
from labelloop.projects import Project

_FORMAT = 2
_PACKAGES = ("labelloop", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a round depends on beside its seed, its model, its edition, and what never changes: items and features.

    items: items in the pool. view: what composing saw. preferred: priorities other than normal. strategy: the section
    in force, which is not the project file's where a broken strategy was stood in for. past: what came of the minority
    lane's ways before, see `credit`. numerics: see `numerics`.
    """

    items: int
    view: PoolView
    preferred: Mapping[ItemNumber, int]
    strategy: Mapping[str, Json]
    past: Mapping[str, Json]
    numerics: Mapping[str, Json]

    def project(self, project: Project) -> Project:
        """The project as the round took it."""
        return type(project).model_validate({**project.model_dump(), "strategy": dict(self.strategy)})


def numerics() -> dict[str, Json]:
    """What the last digits of a number depend on: versions, the kernels of BLAS and their threads."""
    libraries = [
        {name: library.get(name) for name in ("internal_api", "version", "architecture", "num_threads")}
        for library in threadpool_info()
        if library.get("user_api") == "blas"
    ]
    unique = {orjson.dumps(library): library for library in libraries}
    return {**{name: version(name) for name in _PACKAGES}, "blas": [unique[key] for key in sorted(unique)]}


def noted(facts: str, queries: Sequence[Query]) -> dict[str, Json]:
    """What the row of a round remembers of its facts: their digest, and that of the queries."""
    return {"facts": facts, "queries": digest(queries)}


def digest(queries: Sequence[Query]) -> str:
    """SHA-256 over the queries of a round, bit for bit; what was decided about an item later plays no part."""
    lanes = list(Lane)
    queries = sorted(queries, key=lambda query: (query.lane, query.rank))
    columns = (
        np.array([query.item for query in queries], dtype="<i8"),
        np.array([lanes.index(query.lane) for query in queries], dtype="<i8"),
        np.array([query.rank for query in queries], dtype="<i8"),
        np.array([query.needed for query in queries], dtype="<i8"),
        np.array([query.score for query in queries], dtype="<f8"),
        np.array([query.probability for query in queries], dtype="<f8"),
    )
    return hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()


def packed(facts: Facts) -> bytes:
    """As bytes, without pickle; the same facts give the same bytes."""
    notes = {
        "format": _FORMAT,
        "items": facts.items,
        "strategy": facts.strategy,
        "past": facts.past,
        "numerics": facts.numerics,
        "preferred": sorted(facts.preferred.items()),
    }
    arrays: dict[str, Any] = {"notes": np.frombuffer(orjson.dumps(notes), dtype=np.uint8)}
    for one in fields(PoolView):
        value = np.asarray(getattr(facts.view, one.name))
        arrays[one.name] = _bits(value, facts.items) if one.name == "waiting" else value
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def unpacked(blob: bytes) -> Facts:
    """What `packed` packed.

    Raises:
        BadArtifact: facts of another version of labelloop.
    """
    with np.load(io.BytesIO(blob), allow_pickle=False) as kept:
        notes = orjson.loads(kept["notes"].tobytes())
        names = [one.name for one in fields(PoolView)]
        if notes["format"] != _FORMAT or not set(names) <= set(kept):
            raise BadArtifact(
                "The facts of this round were kept by another version of labelloop. Replay it with that version "
                f"({notes['numerics'].get('labelloop')})."
            )
        values: dict[str, Any] = {name: kept[name] for name in names}
    values["waiting"] = np.flatnonzero(np.unpackbits(values["waiting"], count=notes["items"])).astype(np.int32)
    return Facts(
        items=notes["items"],
        view=PoolView(**{name: value.item() if value.ndim == 0 else value for name, value in values.items()}),
        preferred={ItemNumber(item): level for item, level in notes["preferred"]},
        strategy=notes["strategy"],
        past=notes["past"],
        numerics=notes["numerics"],
    )


def _bits(numbers: Ints, items: int) -> Any:
    """Ascending numbers as a bit for each item."""
    there = np.zeros(items, dtype=bool)
    there[numbers] = True
    return np.packbits(there)
