"""The example projects: below the current folder, and beside the sources of a checkout."""

from collections.abc import Iterator
from pathlib import Path

from labelloop.domain.errors import InvalidProject
from labelloop.projects.project import Project
from labelloop.projects.reading import load

FOLDERS = (Path("configs/projects"), Path(__file__).parents[3] / "configs" / "projects")


def example(name: str) -> Project:
    """A project file by its path, or an example by the name of its file or project.

    Raises:
        InvalidProject: there is none; lists the known ones.
    """
    if name.endswith(".toml") or "/" in name:
        return load(Path(name))
    known: list[str] = []
    for path in _files():
        project = _readable(path)
        if project is not None and name in {path.stem, project.name}:
            return project
        known += [] if project is None else [project.name]
    raise InvalidProject(
        f"There is no example project {name!r}. Known ones: {', '.join(sorted(set(known))) or 'none here'}; or give the"
        " path of a project file."
    )


def names() -> list[str]:
    """Names of the examples there are."""
    return sorted({project.name for path in _files() if (project := _readable(path)) is not None})


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted(folder.glob("*.toml"))


def _readable(path: Path) -> Project | None:
    """A broken neighbour does not stop the use of another."""
    try:
        return load(path)
    except InvalidProject:
        return None
