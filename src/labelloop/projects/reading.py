"""Reading a project file, and answering a mistake with what is known there."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from labelloop.domain.errors import InvalidProject
from labelloop.projects.project import Project


def parse(raw: Any, origin: str = "project") -> Project:
    """Check a project given as plain JSON values.

    Raises:
        InvalidProject: names each wrong key, where it is, and what is known there.
    """
    try:
        return Project.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(entry) for entry in error.errors(include_url=False)]
        raise InvalidProject(f"{origin}: " + "; ".join(lines)) from None


def load(path: Path) -> Project:
    """Read a project file. A Label Studio configuration named by file is read from beside it, and so are data that are
    not found from the current folder.

    Raises:
        InvalidProject: the file is missing, is not TOML, or is not a project.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidProject(f"{path}: cannot be read ({error.strerror}). Give the path of a project file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidProject(f"{path}: is not valid TOML: {error}.") from None
    labels = raw.get("labels")
    if isinstance(labels, dict) and labels.get("kind") == "label_studio" and "<" not in str(labels.get("config", "")):
        beside = path.parent / str(labels.get("config", ""))
        if not beside.is_file():
            raise InvalidProject(f"{path}: labels.config names {beside}, which is not a file.")
        labels["config"] = beside.read_text(encoding="utf-8")
    _beside(raw, path.parent)
    return parse(raw, origin=str(path))


def _beside(raw: dict[str, Any], folder: Path) -> None:
    """Where a data set lies beside its project file and not in the current folder, name it by its whole path."""
    source = raw.get("source")
    data = source.get("data") if isinstance(source, dict) else None
    if not isinstance(data, dict):
        return
    for key in ("path", "test_path"):
        named = data.get(key)
        if isinstance(named, str) and not Path(named).is_file() and (there := folder / named).is_file():
            data[key] = str(there.resolve())


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a project file, for editors and for the reference."""
    return Project.model_json_schema()


def _explain(entry: Any) -> str:
    where, kind = ".".join(_place(entry["loc"])[0]) or "project", entry["type"]
    if kind == "extra_forbidden":
        return f"unknown key {where!r}; known keys here: {', '.join(_known(entry['loc'][:-1]))}"
    if kind == "union_tag_invalid":
        return f"unknown kind {entry['ctx']['tag']!r} in {where!r}; known kinds: {entry['ctx']['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{where!r} needs a `kind`"
    if kind == "missing":
        return f"{where!r} is missing"
    return f"{where!r}: {entry['msg'].removeprefix('Value error, ')}"


def _known(loc: tuple[int | str, ...]) -> list[str]:
    """Keys of the section at `loc`."""
    return sorted({key for section in _place(loc)[1] for key in section.model_fields})


def _place(loc: tuple[int | str, ...]) -> tuple[list[str], list[type[BaseModel]]]:
    """The path as it stands in the file, and the sections it may lead to; pydantic puts kinds of unions into it."""
    path: list[str] = []
    sections: list[type[BaseModel]] = [Project]
    for part in loc:
        by_kind = [s for s in sections if "kind" in s.model_fields and part in _literals(s.model_fields["kind"])]
        if len(sections) > 1 and by_kind:
            sections = by_kind[:1]
            continue
        path.append(str(part))
        if not isinstance(part, int):
            sections = [inner for s in sections if part in s.model_fields for inner in _models(s.model_fields[part])]
    return path, sections


def _literals(info: Any) -> tuple[Any, ...]:
    return getattr(info.annotation, "__args__", ())


def _models(info: Any) -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []
    waiting = [info.annotation]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.append(annotation)
        else:
            waiting.extend(getattr(annotation, "__args__", ()))
    return found
