"""Models that a simulation compares: the project's own and those of files; an arm is one of them by one strategy."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelloop.domain.errors import Invalid
from labelloop.projects import ModelSpec, Project, parse

OWN = "own"
"""The name of the project's own model, where it is compared with others."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One model asked by one strategy; `model` is None where the project's own is the only one."""

    strategy: str
    model: str | None = None

    @property
    def name(self) -> str:
        """How it is called in tables, figures and JSON."""
        return self.strategy if self.model is None else f"{self.model}/{self.strategy}"


def arms(strategies: Sequence[str], models: Mapping[str, Any]) -> list[Arm]:
    """Every strategy, or every model by every strategy."""
    names = list(dict.fromkeys(strategies))
    if not models:
        return [Arm(name) for name in names]
    return [Arm(name, model) for model in (OWN, *models) for name in names]


def with_model(project: Project, model: ModelSpec | None) -> Project:
    """The project with this model in place of its own; its own when None."""
    return project if model is None else project.model_copy(update={"model": model})


def read(paths: Sequence[Path], project: Project) -> dict[str, ModelSpec]:
    """Models by name: a file is one `[model]` section or a project file, called by its own name, or a table for each.

    Raises:
        Invalid: a file that cannot be read, or the same name twice.
        InvalidProject: a section that is no model; says what is known there.
    """
    found: dict[str, ModelSpec] = {}
    for path in paths:
        for name, section in _sections(path).items():
            if name in found or name == OWN or "/" in name:
                raise Invalid(f"{path}: the model name {name!r} is taken or has a slash; give each a name of its own.")
            whole = project.model_dump(mode="json") | {"model": section}
            found[name] = parse(whole, origin=f"{path}, {name}").model
    return found


def _sections(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"{path}: cannot be read ({error.strerror}). Give a TOML file of models.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: is not valid TOML: {error}.") from None
    if isinstance(raw.get("model"), dict):
        return {path.stem: raw["model"]}
    if "kind" in raw:
        return {path.stem: raw}
    if not raw or not all(isinstance(section, dict) for section in raw.values()):
        raise Invalid(f"{path}: give a [model] section, or one table for each model, such as [forest].")
    return raw
