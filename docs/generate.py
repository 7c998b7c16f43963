"""Writes the reference pages from the code, so that they cannot drift: `make docs`. A test compares them."""

import json
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from labelloop import projects, strategies
from labelloop.domain import errors
from labelloop.settings import Settings

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py (`make docs`); edit the code instead. -->\n"


def settings_page() -> str:
    """Every environment variable."""
    rows = [
        f"| `LABELLOOP_{name.upper()}` | {_default(field)} | {_text(field.description)} |"
        for name, field in Settings.model_fields.items()
    ]
    return _page(
        "Settings",
        "Where things are kept and where the service listens: environment variables. What belongs to one labeling"
        " problem is in its [project file](project-file.md).",
        ["| variable | default | meaning |", "|---|---|---|", *rows],
    )


def project_page() -> str:
    """Every key of a project file."""
    lines = _section(projects.Project, "", set())
    return _page(
        "Project file",
        "One labeling problem: TOML in a file, the same as JSON over HTTP. Keys without a default are required. An"
        " unknown key or kind is refused with the known ones. The machine-readable form is"
        " [project.schema.json](project.schema.json).",
        lines,
    )


def _section(model: type[BaseModel], path: str, told: set[tuple[str, type[BaseModel]]]) -> list[str]:
    """Its keys, its kind first, and the sections below it; one that several kinds have in one place is told once."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in sorted(model.model_fields.items(), key=lambda entry: entry[0] != "kind"):
        nested = list(_models(field.annotation))
        inner += [(f"{path}{name}", one) for one in nested]
        meaning = _text(field.description) or (_text(nested[0].__doc__) if len(nested) == 1 else "")
        kinds = " ".join(sorted({f"`{kind}`" for one in nested for kind in _kinds(one)}))
        if len(nested) > 1:
            meaning = f"{meaning} By kind: {kinds}".strip()
        if name == "kind":
            meaning = " ".join(f"`{kind}`" for kind in _kinds(model))
        lines.append(f"| `{path}{name}` | {_default(field)} | {meaning} |")
    for where, one in inner:
        if (where, one) in told:
            continue
        told.add((where, one))
        kinds = _kinds(one)
        title = f"`{where}`" + (f" of kind {', '.join(f'`{kind}`' for kind in kinds)}" if kinds else "")
        lines += ["", f"### {title}", "", _text(one.__doc__), "", *_section(one, f"{where}.", told)]
    return lines


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {typing.Annotated, typing.Union, UnionType, tuple, dict}:
        for part in get_args(annotation):
            yield from _models(part)


def _kinds(model: type[BaseModel]) -> tuple[str, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field is not None else ()


def errors_page() -> str:
    """Every error on the wire."""
    from labelloop.api.problems import OF_HTTP, status_of

    rows = [
        f"| `{one.slug}` | {status_of(one(''))} | {_text((one.__doc__ or '').splitlines()[0])} |"
        for one in _tree(errors.LabelloopError)
    ]
    rows += [f"| `{slug}` | {status} | {title}. |" for status, (slug, title) in OF_HTTP.items()]
    return _page(
        "Errors",
        "Errors come as `application/problem+json` (RFC 9457); `type` ends in the slug, `detail` says what to do next.",
        ["| type | status | meaning |", "|---|---|---|", *rows],
    )


def _tree(error: type[errors.LabelloopError]) -> Iterator[type[errors.LabelloopError]]:
    for one in error.__subclasses__():
        yield one
        yield from _tree(one)


def strategies_page() -> str:
    """Every query strategy."""
    rows = [f"| `{name}` | {_text(text)} |" for name, text in strategies.names().items()]
    return _page(
        "Query strategies",
        "What `strategy.kind` may be. A higher acquisition score always means: ask first. How to add one:"
        " [CONTRIBUTING](../../CONTRIBUTING.md).",
        ["| kind | asks first |", "|---|---|", *rows],
    )


def metrics_page() -> str:
    """Every Prometheus metric."""
    from labelloop.telemetry import METRICS

    rows = [f"| `{name}` | {_text(text)} |" for name, text in METRICS.items()]
    return _page("Metrics", "What `GET /metrics` shows.", ["| metric | meaning |", "|---|---|", *rows])


def commands_page() -> str:
    """Every command with its options."""
    from typer.main import get_command

    from labelloop.cli.app import app

    lines: list[str] = []

    def walk(command: Any, words: tuple[str, ...]) -> None:
        for name, inner in sorted(command.commands.items()):
            if inner.hidden:
                continue
            if hasattr(inner, "commands"):
                walk(inner, (*words, name))
                continue
            lines.extend(["", f"## `{' '.join((*words, name))}`", "", _paragraphs(inner.help or ""), ""])
            options = [
                f"| `{_named(parameter)}` | {_text(parameter.help)} |"
                for parameter in inner.params
                if parameter.name != "help"
            ]
            if options:
                lines.extend(["| argument or option | meaning |", "|---|---|", *options])

    walk(get_command(app), ("labelloop",))
    return _page("Commands", "`labelloop COMMAND --help` says the same.", lines)


def _named(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    return ", ".join(parameter.opts)


def api_page() -> str:
    """Every HTTP call."""
    from labelloop.api.routes import ROUTERS

    rows = [
        f"| `{method} {route.path}` | `{route.operation_id}` | {_role(route)} | {_text(route.description)} |"
        for router in ROUTERS
        for route in router.routes
        for method in sorted(route.methods)
    ]
    return _page(
        "HTTP API",
        "JSON over HTTP with `Authorization: Bearer KEY`; a role may do all that the roles before it may (annotator,"
        " reviewer, engineer, admin). The service itself serves `/openapi.json`. Errors: [errors](errors.md).",
        ["| call | operation | least role | meaning |", "|---|---|---|---|", *rows],
    )


def _role(route: Any) -> str:
    from labelloop.api.access import Requires

    waiting = list(route.dependant.dependencies)
    while waiting:
        dependant = waiting.pop()
        if isinstance(dependant.call, Requires):
            return str(dependant.call.role)
        waiting.extend(dependant.dependencies)
    return "public"


def schema_file() -> str:
    """The JSON Schema of a project file."""
    return json.dumps(projects.json_schema(), indent=2, sort_keys=True) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "project-file.md": project_page,
    "errors.md": errors_page,
    "strategies.md": strategies_page,
    "metrics.md": metrics_page,
    "commands.md": commands_page,
    "http.md": api_page,
    "project.schema.json": schema_file,
}


def _page(title: str, opening: str, lines: list[str]) -> str:
    return "\n".join([NOTE, f"# {title}", "", opening, "", *lines]).rstrip() + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, BaseModel):
        return "–"
    shown = getattr(value, "value", value)
    if isinstance(shown, Path):
        return f"`{shown}`"
    return f"`{json.dumps(shown, default=list)}`"


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n") if part.strip())


def main() -> None:
    """Write every page."""
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
