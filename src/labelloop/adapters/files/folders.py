"""The folder of each project: several adapters keep files there, none knows of the others, and here all of it goes."""

import shutil
from contextlib import suppress
from pathlib import Path
from secrets import token_hex


class ProjectFolders:
    """Implements ports.Folders: `home/projects/PROJECT`."""

    def __init__(self, home: Path) -> None:
        self._home = home / "projects"

    def remove(self, name: str) -> None:
        """Renamed first, so that nobody reads half of it; what an interrupted removal left goes, too."""
        with suppress(FileNotFoundError):
            (self._home / name).rename(self._home / f".{name}.{token_hex(6)}")
        for grave in self._home.glob(f".{name}.*"):
            shutil.rmtree(grave, ignore_errors=True)
