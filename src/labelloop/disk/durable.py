"""Writing a file so that a reader, or a crash, sees the old bytes or the new ones; what is in it is not known here."""

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex


def write(path: Path, blob: bytes) -> None:
    """Put `blob` at `path`, whole or not at all, and on the disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A leading dot and a random part: two writers never share it, and no listing takes it for the real thing.
    draft = path.with_name(f".{path.name}.{token_hex(6)}")
    try:
        with draft.open("xb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename is on the disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
