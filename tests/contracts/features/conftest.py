"""Projects and items to compute features of."""

from collections.abc import Callable
from typing import Any

import pytest

from labelloop import projects
from labelloop.domain.states import ItemState
from labelloop.domain.types import Item, ItemNumber

Make = Callable[..., projects.Project]


@pytest.fixture(scope="session")
def project() -> Make:
    """Make a project from its `features` section."""

    def make(kind: str, *, shard_size: int = 64, seed: int = 0, **features: Any) -> projects.Project:
        labels = {"kind": "classes", "classes": ["yes", "no"]}
        sections = {"items": {"shard_size": shard_size}, "features": {"kind": kind, **features}}
        return projects.parse({"name": "words", "seed": seed, "labels": labels, **sections})

    return make


@pytest.fixture(scope="session")
def items() -> Callable[..., list[Item]]:
    """Make items from values of one field, or from whole data."""

    def make(values: list[Any], *, field: str | None = None, first: int = 0) -> list[Item]:
        return [
            Item(
                number=ItemNumber(number),
                key=f"item-{number}",
                data=value if field is None else {field: value},
                state=ItemState.POOLED,
            )
            for number, value in enumerate(values, first)
        ]

    return make
