"""The home folder: made at the first start, or a sentence that says why not; what is in it is not known here."""

import tempfile
from contextlib import suppress
from pathlib import Path

from labelloop.domain.errors import Invalid

CHOICE = "Set LABELLOOP_HOME"


def make(home: Path, *, choice: str = CHOICE) -> None:
    """Make the folder unless it is there. `choice` is how the user names another.

    Raises:
        Invalid: it cannot be made.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(home, "cannot be made", choice) from error


def make_writable(home: Path, *, choice: str = CHOICE) -> None:
    """As `make`, for those who write their first file there next.

    Raises:
        Invalid: it cannot be made, or nothing can be written there.
    """
    make(home, choice=choice)
    if not writable(home):
        raise _refusal(home, "cannot be written", choice)


def writable(folder: Path) -> bool:
    """Whether a file can be made there: tried, because permissions say nothing of /proc or of a read-only disk."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def nearest(path: Path) -> Path:
    """The path itself if it is there, else the nearest above it that is; what cannot be looked at is not there."""
    absolute = path.absolute()
    for one in (absolute, *absolute.parents):
        with suppress(OSError):
            if one.exists():
                return one
    return Path(absolute.anchor)


def _refusal(home: Path, what: str, choice: str) -> Invalid:
    there = nearest(home)
    if not there.is_dir():
        why = f"{there} is no folder"
    elif not writable(there):
        why = f"nothing can be written in {there}"
    else:
        why = "the system refused it"
    return Invalid(f"The home folder {home.absolute()} {what}: {why}. {choice} to a folder you may write to.")
