"""Items and labels: ingest, export, predictions, the history of one item, and the pictures that items name."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response, StreamingResponse

from labelloop.api import answers, bodies, lines, tables
from labelloop.api.access import Annotator, Engineer, Reviewer
from labelloop.api.context import Context, Use
from labelloop.api.middleware import is_item_stream
from labelloop.disk.roots import resolve_below
from labelloop.domain.errors import Invalid, UnknownItem
from labelloop.domain.types import IngestReport, InvalidLine, ItemNumber, ModelNumber, NewItem
from labelloop.loop import ingest as loop_ingest
from labelloop.loop import report, together
from labelloop.loop.predict import predict
from labelloop.loop.prioritize import prioritize as _prioritize
from labelloop.ports import Ports
from labelloop.telemetry import logger

router = APIRouter(prefix="/v1/projects/{project}", tags=["data"])
log = logger(__name__)

INGESTS_AT_ONCE = 4
"""Streams that are taken in at once; the rest waits, so that slow senders never use up the threads of others."""
PICTURES: Mapping[str, str] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
}
"""Suffix → media type of what is served. SVG is not here: it can carry scripts."""

_NDJSON: dict[str, Any] = {"application/x-ndjson": {"schema": {"type": "string"}}}


@router.post("/items", operation_id="ingest", openapi_extra=bodies.described(bodies.ItemIn, **_NDJSON))
async def ingest(project: str, request: Request, _: Engineer, use: Use) -> Response:
    """Take items in: a JSON array, or an NDJSON stream of any length. Bad lines are reported, the rest goes in."""
    ports = use.ports
    if is_item_stream(request.scope):
        stream = request.stream()
        found = await _in_thread(use, lambda: _ingest(ports, project, _streamed(stream)))
    else:
        raw = await bodies.read_json(request)
        if not isinstance(raw, list):
            raise Invalid(
                "The body must be a JSON array of items `{key, data, label?, gold?, metadata?, needed?, requires?}`, "
                "or such objects line by line with Content-Type: application/x-ndjson."
            )
        rows = (loop_ingest.read(one, line) for line, one in enumerate(raw, start=1))
        found = await _in_thread(use, lambda: _ingest(ports, project, rows))
    use.metrics.count("labelloop_items_ingested", project, "added", by=found.added)
    use.metrics.count("labelloop_items_ingested", project, "duplicate", by=found.duplicates)
    use.metrics.count(
        "labelloop_items_ingested", project, "invalid", by=found.received - found.added - found.duplicates
    )
    return answers.reply(found)


@router.get("/export", operation_id="export")
async def export(
    project: str,
    _: Engineer,
    use: Use,
    format: Literal["jsonl", "csv"] = "jsonl",  # noqa: A002 - its name on the wire
    training_set: str | None = None,
    near_duplicates: float | None = None,
) -> Response:
    """Every label with its provenance, also of items as similar as asked, or one training set by its digest."""
    rows = await run_in_threadpool(_rows, use.ports, project, training_set, near_duplicates)
    return await _download(rows, format, name=project)


@router.get("/predictions", operation_id="predictions")
async def predictions(
    *,
    project: str,
    _: Engineer,
    use: Use,
    format: Literal["jsonl", "csv"] = "jsonl",  # noqa: A002 - its name on the wire
    model: int | None = None,
    least: float = 0.0,
    probabilities: bool = False,
) -> Response:
    """What the champion, or another model, says of every item without an answer; `least` sure, where that is given."""
    number = None if model is None else ModelNumber(model)
    asked = partial(predict, use.ports, project, model=number, least=least, every_class=probabilities)
    return await _download(await run_in_threadpool(asked), format, name=f"{project}-predictions")


@router.get("/items/{item}", operation_id="item")
async def item(project: str, item: bodies.Number, _: Reviewer, use: Use) -> Response:
    """One item: its key, data, state and label."""
    return answers.reply(await run_in_threadpool(_item, use.ports, project, ItemNumber(item)))


@router.get("/items/{item}/history", operation_id="history")
async def history(project: str, item: bodies.Number, _: Reviewer, use: Use) -> Response:
    """Everything that ever happened to one item, and why it was served."""
    return answers.reply(await run_in_threadpool(report.history, use.ports, project, ItemNumber(item)))


@router.post("/items/{item}/priority", operation_id="prioritize", openapi_extra=bodies.described(bodies.PriorityOfItem))
async def prioritize(project: str, item: bodies.Number, request: Request, who: Engineer, use: Use) -> Response:
    """Ask for one item first in its lane, last, or in its planned place again."""
    body = await bodies.read_model(request, bodies.PriorityOfItem)
    queued = await run_in_threadpool(_prioritize, use.ports, project, who, [ItemNumber(item)], body.priority)
    return answers.reply({"items": [item], "priority": body.priority, "queued": queued})


@router.post("/items/priority", operation_id="prioritize_items", openapi_extra=bodies.described(bodies.PriorityOfItems))
async def prioritize_items(project: str, request: Request, who: Engineer, use: Use) -> Response:
    """The same for many items."""
    body = await bodies.read_model(request, bodies.PriorityOfItems)
    numbers = [ItemNumber(number) for number in body.items]
    queued = await run_in_threadpool(_prioritize, use.ports, project, who, numbers, body.priority)
    return answers.reply({"items": body.items, "priority": body.priority, "queued": queued})


@router.get("/items/{item}/media/{field}", operation_id="media")
async def media(project: str, item: bodies.Number, field: str, _: Annotator, use: Use) -> Response:
    """A picture that an item names by its path below an allowed root."""
    path, media_type = await run_in_threadpool(_picture, use, project, ItemNumber(item), field)
    headers = {
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, max-age=3600",
    }
    return FileResponse(
        path, media_type=media_type, headers=headers, filename=path.name, content_disposition_type="attachment"
    )


async def _in_thread(context: Context, work: Callable[[], IngestReport]) -> IngestReport:
    return await anyio.to_thread.run_sync(work, limiter=context.ingests)


def _ingest(ports: Ports, name: str, rows: Iterator[NewItem | InvalidLine]) -> IngestReport:
    return loop_ingest.ingest(ports, name, rows)


def _streamed(stream: Any) -> Iterator[NewItem | InvalidLine]:
    return lines.items(lines.split(lines.pulled(stream)), loop_ingest.read)


def _rows(ports: Ports, name: str, digest: str | None, near: float | None) -> Iterator[Mapping[str, Any]]:
    ports.projects.get(name)
    return together.export(ports, name, near) if digest is None else _training_rows(ports, name, digest)


def _training_rows(ports: Ports, name: str, digest: str) -> Iterator[Mapping[str, Any]]:
    found = ports.models.training_set(name, digest)
    numbers = [ItemNumber(int(number)) for number in found.items]
    for start in range(0, len(numbers), tables.CHUNK):
        part = slice(start, start + tables.CHUNK)
        items = {item.number: item for item in ports.pool.items(name, numbers[part])}
        for number, label in zip(numbers[part], found.labels[part], strict=True):
            item = items[number]
            yield {"item": number, "key": item.key, "label": label, "training_set": digest, "data": item.data}


async def _download(rows: Iterable[Mapping[str, Any]], form: Literal["jsonl", "csv"], *, name: str) -> Response:
    chunks = tables.jsonl(rows) if form == "jsonl" else tables.as_csv(rows)
    first = await run_in_threadpool(next, chunks, b"")  # so that what fails, fails before the head goes out
    media_type = "application/x-ndjson" if form == "jsonl" else "text/csv; charset=utf-8"
    disposition = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return StreamingResponse(_chain(first, chunks), media_type=media_type, headers=disposition)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _item(ports: Ports, name: str, number: ItemNumber) -> dict[str, Any]:
    ports.projects.get(name)
    found = ports.pool.items(name, [number])
    if not found:
        raise UnknownItem(f"The project {name!r} has no item {number}.", project=name, item=number)
    one = found[0]
    return {"item": one.number, "key": one.key, "data": one.data, "state": one.state, "label": one.label}


def _picture(context: Context, name: str, number: ItemNumber, field: str) -> tuple[Path, str]:
    context.ports.projects.get(name)
    found = context.ports.pool.items(name, [number])
    if not found:
        raise UnknownItem(f"The project {name!r} has no item {number}.", project=name, item=number)
    named = found[0].data.get(field)
    if not isinstance(named, str):
        raise Invalid(
            f"The field {field!r} of this item does not name a file; fields: {', '.join(sorted(found[0].data))}.",
            project=name,
            item=number,
        )
    media_type = PICTURES.get(Path(named).suffix.lower())
    if media_type is None:
        raise Invalid(f"Only pictures are served ({', '.join(PICTURES)}).", project=name, item=number)
    try:
        return resolve_below(context.settings.item_roots, named), media_type
    except Invalid as error:  # its sentence names folders of this machine, which are for the operator's eyes only
        log.warning("media.refused", project=name, item=number, problem=error.detail)
        raise UnknownItem(
            f"The picture {named!r} of this item cannot be shown. The operator finds the reason in the log.",
            project=name,
            item=number,
        ) from None
