"""Drawn maps of pools, one file per project; what is on them is the loop's."""

from collections.abc import Mapping
from pathlib import Path

import orjson

from labelloop.disk import durable
from labelloop.domain.types import Json


class MapFiles:
    """Implements ports.Maps: `home/projects/PROJECT/map.json`."""

    def __init__(self, home: Path) -> None:
        self._home = home / "projects"

    def keep(self, name: str, drawn: Mapping[str, Json]) -> None:
        durable.write(self._path(name), orjson.dumps(drawn))

    def read(self, name: str) -> Mapping[str, Json] | None:
        """The last one kept; None without one, or when its file is damaged: it is drawn again at any time."""
        try:
            found = orjson.loads(self._path(name).read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        return found if isinstance(found, dict) else None

    def _path(self, name: str) -> Path:
        return self._home / name / "map.json"
