"""Finds the project that a simulation is about: a project file by path, one of the store, or one of the examples."""

from labelloop.domain.errors import UnknownProject
from labelloop.projects import Project, example
from labelloop.settings import Settings


def find(name: str, settings: Settings) -> Project:
    """The project of this name or path.

    Raises:
        InvalidProject: nothing is called so, or a file that is no project; lists the examples.
    """
    found = None if name.endswith(".toml") or "/" in name else _stored(name, settings)
    return found or example(name)


def stored(settings: Settings) -> bool:
    """Whether there is a store to look into."""
    return settings.database_url is not None or (settings.home / "labelloop.db").exists()


def _stored(name: str, settings: Settings) -> Project | None:
    """The project of the store; a store that was never made is not made by asking."""
    if not stored(settings):
        return None
    from labelloop import wiring

    ports = wiring.build(settings)
    try:
        found: Project = ports.projects.get(name)
    except UnknownProject:
        return None
    finally:
        wiring.close(ports)
    return found
