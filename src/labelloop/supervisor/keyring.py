"""The keys a service makes for its owner on first start, kept in the home folder for nobody else to read."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

FILE = "keys.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKeys:
    """Keys of an administrator and of an annotator."""

    admin: str
    annotator: str


def read(home: Path) -> OwnKeys | None:
    """The keys kept there, or None where there are none, or not whole."""
    try:
        raw = json.loads((home / FILE).read_text(encoding="utf-8"))
        return OwnKeys(admin=str(raw["admin"]), annotator=str(raw["annotator"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(home: Path, keys: OwnKeys) -> None:
    """Keep them, readable by their owner only; whole or not at all."""
    write_private(home / FILE, {"admin": keys.admin, "annotator": keys.annotator})


def write_private(path: Path, value: object) -> None:
    """Write JSON that appears whole, with mode 0600."""
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
    beside.replace(path)
