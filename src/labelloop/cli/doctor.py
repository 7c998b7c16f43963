"""What `labelloop doctor` looks at: each check says what was found, whether that is well, and what to do next.

Nothing here changes anything, starts anything, or raises: a check that fails is a finding.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.util import find_spec

from labelloop.cli import services
from labelloop.cli.findings import Finding, Level
from labelloop.cli.opening import settings
from labelloop.disk.home import nearest, writable
from labelloop.domain.errors import LabelloopError
from labelloop.settings import Settings

FIXED_SQLITE = (3, 51, 3)
"""Before it, two connections that write and checkpoint at once can, rarely, corrupt a database in WAL mode."""
LEAST_FREE = 1 << 30
EXTRAS = {
    "torch": ("torch", "models of kind torch_mlp and torch_cnn"),
    "modAL": ("modal", "models and strategies of modAL"),
    "pyarrow": ("parquet", "Parquet files"),
    "imblearn": ("imbalance", "made-up rows of rare classes"),
    "PIL": ("images", "pictures by path"),
    "psycopg": ("postgresql", "PostgreSQL"),
}


def examine() -> list[Finding]:
    """All checks, in the order in which one would repair them."""
    try:
        chosen = settings()
    except LabelloopError as error:
        return [Finding(check="settings", level=Level.FAIL, detail=error.detail, remedy="Correct or unset it.")]
    findings = [_settings(chosen)]
    for check in (_python, _sqlite, _home, _disk, _clock, _item_roots, _data, _extras, services.examine):
        findings.extend(_guarded(check, chosen))
    return findings


def _guarded(check: Callable[[Settings], Iterator[Finding]], chosen: Settings) -> Iterator[Finding]:
    try:
        yield from check(chosen)
    except Exception as error:  # noqa: BLE001 - a broken check is a finding too
        name = check.__name__.strip("_")
        yield Finding(check=name, level=Level.FAIL, detail=f"{type(error).__name__}: {error}", remedy="Report this.")


def _settings(chosen: Settings) -> Finding:
    given = sorted(key for key in os.environ if key.startswith("LABELLOOP_"))
    known = {f"LABELLOOP_{name.upper()}" for name in type(chosen).model_fields}
    if unknown := [key for key in given if key not in known]:
        return Finding(
            check="settings",
            level=Level.WARN,
            detail=f"unknown variables: {', '.join(unknown)}",
            remedy=f"Known ones: {', '.join(sorted(known))}.",
        )
    return Finding(check="settings", level=Level.OK, detail=", ".join(given) or "all by default")


def _python(_chosen: Settings) -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    yield Finding(check="python", level=Level.OK, detail=f"{found} at {sys.executable}")


def _sqlite(chosen: Settings) -> Iterator[Finding]:
    if not chosen.database.startswith("sqlite"):
        return
    version = services.sqlite_version()
    found = ".".join(map(str, version))
    if version >= FIXED_SQLITE:
        yield Finding(check="sqlite", level=Level.OK, detail=found)
    else:
        yield Finding(
            check="sqlite",
            level=Level.WARN,
            detail=f"{found} can, rarely, corrupt a database that two processes write",
            remedy="Install pysqlite3 with SQLite 3.51.3 or newer, or use PostgreSQL (LABELLOOP_DATABASE_URL).",
        )


def _home(chosen: Settings) -> Iterator[Finding]:
    home = chosen.home.absolute()
    there = nearest(home)
    if not (there.is_dir() and writable(there)):
        wrong = "nothing can be written there" if there.is_dir() else "that is no folder"
        yield Finding(
            check="home",
            level=Level.FAIL,
            detail=f"{home}: {wrong}"
            if there == home
            else f"{home} does not exist and cannot be made in {there}: {wrong}",
            remedy="Set LABELLOOP_HOME to a folder you may write to.",
        )
        return
    if there != home:
        detail, remedy = f"{home} does not exist", "The first start makes it."
        yield Finding(check="home", level=Level.WARN, detail=detail, remedy=remedy)
        return
    yield Finding(check="home", level=Level.OK, detail=str(home))
    for name in ("keys.json", "secret"):
        path = home / name
        if path.exists() and path.stat().st_mode & 0o077:
            yield Finding(
                check="home", level=Level.FAIL, detail=f"others can read {path}", remedy=f"Run: chmod 600 {path}"
            )


def _disk(chosen: Settings) -> Iterator[Finding]:
    place = nearest(chosen.home)
    free = shutil.disk_usage(place).free
    level = Level.OK if free >= LEAST_FREE else Level.WARN if free >= LEAST_FREE // 10 else Level.FAIL
    remedy = "" if level is Level.OK else "Make room: features, models and the database grow there."
    yield Finding(check="disk", level=level, detail=f"{free / 2**30:.1f} GiB free at {place}", remedy=remedy)


def _clock(_chosen: Settings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    sane = now.year >= 2025
    yield Finding(
        check="clock",
        level=Level.OK if sane else Level.FAIL,
        detail=now.isoformat(timespec="seconds"),
        remedy="" if sane else "Set the clock: leases and schedules go by it.",
    )


def _item_roots(chosen: Settings) -> Iterator[Finding]:
    for root in chosen.item_roots:
        ok = root.is_dir() and os.access(root, os.R_OK | os.X_OK)
        yield Finding(
            check="item root",
            level=Level.OK if ok else Level.FAIL,
            detail=str(root) if ok else f"{root} is not a folder that can be read",
            remedy="" if ok else "Correct LABELLOOP_ITEM_ROOTS, a JSON list of folders.",
        )


def _data(chosen: Settings) -> Iterator[Finding]:
    if chosen.data is None:
        yield Finding(
            check="example data",
            level=Level.OK,
            detail="not set; the bundled projects digits and breast_cancer need none",
            remedy="Set LABELLOOP_DATA for the other example projects.",
        )
    elif chosen.data.is_dir():
        yield Finding(check="example data", level=Level.OK, detail=str(chosen.data))
    else:
        yield Finding(
            check="example data",
            level=Level.WARN,
            detail=f"{chosen.data} is not a folder",
            remedy="Correct LABELLOOP_DATA or unset it.",
        )


def _extras(_chosen: Settings) -> Iterator[Finding]:
    missing = {module: extra for module, extra in EXTRAS.items() if find_spec(module) is None}
    for module, (extra, purpose) in missing.items():
        yield Finding(
            check="extra",
            level=Level.WARN,
            detail=f"{module} is not installed: no {purpose}",
            remedy=f"If you need it: pip install 'labelloop[{extra}]'",
        )
    if there := [module for module in EXTRAS if module not in missing]:
        yield Finding(check="extras", level=Level.OK, detail=", ".join(there))
