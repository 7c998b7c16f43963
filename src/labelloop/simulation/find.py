"""Finds the project that a simulation is about: a project file by path, one of the store, or one of the examples."""

from collections.abc import Iterator
from pathlib import Path

from labelloop.domain.errors import InvalidProject, UnknownProject
from labelloop.projects import Project, load
from labelloop.settings import Settings

EXAMPLES = (Path("configs/projects"), Path(__file__).parents[3] / "configs" / "projects")
"""Below the current folder, and beside the sources of a checkout."""


def find(name: str, settings: Settings) -> Project:
    """The project of this name or path.

    Raises:
        UnknownProject: nothing is called so; lists what is.
        InvalidProject: a file that is no project.
    """
    if name.endswith(".toml") or "/" in name:
        return load(Path(name))
    stored = _stored(name, settings)
    if stored is not None:
        return stored
    examples = {project.name: project for project in _examples()}
    if name in examples:
        return examples[name]
    raise UnknownProject(name, sorted(examples))


def _stored(name: str, settings: Settings) -> Project | None:
    """The project of the store; a store that was never made is not made by asking."""
    if settings.database_url is None and not (settings.home / "labelloop.db").exists():
        return None
    from labelloop import wiring

    ports = wiring.build(settings)
    try:
        stored: Project = ports.projects.get(name)
    except UnknownProject:
        return None
    finally:
        wiring.close(ports)
    return stored


def _examples() -> Iterator[Project]:
    """Project files that load; a broken neighbour does not stop a simulation of another."""
    for folder in EXAMPLES:
        for path in sorted(folder.glob("*.toml")):
            try:
                yield load(path)
            except InvalidProject:
                continue
