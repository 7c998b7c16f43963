"""What comes in: bodies read from the wire, checked, and described in the OpenAPI document.

FastAPI does not parse our bodies: the two hot calls are faster with orjson alone, and errors keep one shape.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Path, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labelloop.api import problems
from labelloop.domain import skills
from labelloop.domain.errors import Invalid
from labelloop.domain.states import Priority, Role
from labelloop.projects import Project

MAX_NAME = 128
Skill = Annotated[str, Field(pattern=f"^{skills.PATTERN}$", max_length=skills.LONGEST)]
MAX_DEPTH = 254
"""Levels of arrays and objects within each other that can be written as JSON again."""


class Body(BaseModel):
    """What all bodies share: no unknown keys, because a typo that is silently ignored costs labels."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class LeaseRequest(Body):
    """Ask for work."""

    count: int = Field(default=1, ge=1)
    """How many items; at most 1,000."""


class LeaseList(Body):
    """Name leases to renew, release or skip."""

    leases: list[str]


class AnnotationIn(Body):
    """One answer: a class, or a Label Studio result."""

    lease: str
    label: str | None = None
    result: list[dict[str, Any]] | None = None
    seconds: float | None = Field(default=None, ge=0)
    """How long the person looked at it."""
    comment: str | None = None


class AnnotationList(Body):
    """Answers; at most 1,000."""

    annotations: list[AnnotationIn]


class ItemIn(Body):
    """One item on its way into the pool."""

    key: str
    data: dict[str, Any]
    label: str | None = None
    """A label that is already known."""
    gold: str | None = None
    """A known answer, to measure annotators by; the item is asked like any other, and its label is theirs."""
    metadata: dict[str, Any] = {}
    needed: int | None = Field(default=None, ge=1)
    """Votes it gets at first; the project file says how many when not given."""
    requires: list[Skill] = Field(default=[], max_length=skills.MOST)
    """Skills that whoever answers it must have, all of them, such as `lang:de`."""
    synthetic: bool = False
    """Made up, with a label: it is trained on and nothing else, and is marked in every export."""


class PriorityOfItem(Body):
    """Say when an item is asked."""

    priority: Priority
    """Before or after all others of its lane, or where the plan has it."""


class PriorityOfItems(PriorityOfItem):
    """Say when items are asked."""

    items: list[int] = Field(min_length=1)
    """Their numbers; at most 1,000."""


class KeyRequest(Body):
    """Ask for a key."""

    subject: str = Field(min_length=1, max_length=MAX_NAME, pattern=r"^[^\x00-\x1f\x7f]+$")
    """Whom it stands for: the annotator's name."""
    role: Role = Role.ANNOTATOR
    project: str | None = None
    """Limit it to one project."""
    skills: list[Skill] = Field(default=[], max_length=skills.MOST_CARRIED)
    """What the annotator can do, such as `lang:de`: items that require it come to those who have it."""


class SkillsOfKey(Body):
    """Say what the bearer of a key can do."""

    skills: list[Skill] = Field(max_length=skills.MOST_CARRIED)
    """All of them; what is not named he cannot do any more."""


DOCUMENTED: tuple[type[BaseModel], ...] = (
    LeaseRequest,
    LeaseList,
    AnnotationList,
    ItemIn,
    PriorityOfItem,
    PriorityOfItems,
    KeyRequest,
    SkillsOfKey,
    Project,
)

Model = TypeVar("Model", bound=BaseModel)

Number = Annotated[int, Path(ge=0, lt=2**53)]
"""The number of an item or a model in an address; no larger than every JSON reader can hold."""


async def read_json(request: Request, *, default: Any = None) -> Any:
    """The body as JSON values; `default` for an empty one, where a call has a default.

    Raises:
        MalformedJson: it is not JSON.
    """
    raw = await request.body()
    if not raw and default is not None:
        return default
    return parse_json(raw)


def parse_json(raw: bytes) -> Any:
    """JSON values of these bytes.

    Raises:
        MalformedJson: they are not JSON, or nested so deeply that nothing could keep or answer them.
    """
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise problems.MalformedJson(f"The body is not valid JSON: {error}.") from None
    if raw.count(b"[") + raw.count(b"{") >= MAX_DEPTH:  # nearly never
        try:
            orjson.dumps(found)
        except orjson.JSONEncodeError:
            raise problems.MalformedJson(
                f"The body is nested deeper than {MAX_DEPTH} levels, which is more than can be kept."
            ) from None
    return found


async def read_object(request: Request, *, known: frozenset[str]) -> Mapping[str, Any]:
    """The body as an object with none but the known keys, unchecked otherwise: the fast path."""
    raw = await read_json(request)
    if not isinstance(raw, dict):
        raise Invalid(f"The body must be an object with {_listed(known)}.")
    if unknown := set(raw) - known:
        raise Invalid(f"Unknown keys in the body: {_listed(unknown)}; known: {_listed(known)}.")
    return raw


async def read_model(request: Request, model: type[Model], *, default: Any = None) -> Model:
    """The body as a checked object.

    Raises:
        Invalid: names each wrong place.
    """
    try:
        return model.model_validate(await read_json(request, default=default))
    except ValidationError as error:
        raise problems.explain(error, "body") from None


MAX_KEY = 200
REPEATABLE: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
            "description": "Repeat a call with the same key and body, and it has its effect once.",
        }
    ]
}
"""What a route tells OpenAPI that reads an Idempotency-Key."""


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key of a request, read by hand: FastAPI's own way costs a tenth of a hot call.

    Raises:
        Invalid: it is empty or too long.
    """
    key: str | None = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= MAX_KEY:
        raise Invalid(f"An Idempotency-Key has 1 to {MAX_KEY} characters.")
    return key


def described(model: type[BaseModel], *, required: bool = True, **others: Any) -> dict[str, Any]:
    """What a route tells OpenAPI about its body; `others` maps further media types to their schema."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
    return {"requestBody": {"required": required, "content": {**content, **others}}}


def _listed(names: frozenset[str] | set[str]) -> str:
    return ", ".join(f"`{name[:64]}`" for name in sorted(names))
