"""How every benchmark reports: a table for people, one JSON object on the last line, and the same kept in results/.

A result carries the machine, the date and the versions it was measured with, because a number without them is a rumour.
"""

import json
import os
import platform
import subprocess
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("labelloop", "numpy", "scipy", "scikit-learn")


def finish(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    packages: Sequence[str] = (),
    folder: Path = RESULTS,
    table: bool = True,
    **facts: Any,
) -> dict[str, Any]:
    """Print the rows as a table (unless the caller did), then all as one line of JSON; keep it in results/NAME.json."""
    result = {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions((*PACKAGES, *packages)),
        **facts,
        "rows": [dict(row) for row in rows],
    }
    if table:
        show(name, rows)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result), flush=True)
    return result


def merged(
    name: str, rows: Sequence[Mapping[str, Any]], by: Sequence[str], *, part: str = "rows", folder: Path = RESULTS
) -> list[dict[str, Any]]:
    """The rows of results/NAME.json with these in the place of those that agree in the columns `by`, or behind them.

    Date and machine of the result are then those of the newest rows.
    """
    path = folder / f"{name}.json"
    before = json.loads(path.read_text(encoding="utf-8"))[part] if path.exists() else []
    return list({tuple(row[column] for column in by): dict(row) for row in (*before, *rows)}.values())


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows as a table; columns in order of first appearance."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = Table(title=title)
    for column in columns:
        table.add_column(column.replace("_", " "), justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console = Console()
    console.width = max(console.width, 150)  # a pipe has no width, and folded numbers cannot be read
    console.print(table)


def machine() -> dict[str, Any]:
    """The machine in a few words: processor, cores, memory, load, Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(memory / 2**30, 1),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def versions(packages: Sequence[str]) -> dict[str, str | None]:
    """Version of each package (None: not installed) and the commit, where git knows one."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    git = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    found["commit"] = git.stdout.strip() or None
    return found


def cpu(work: Callable[[], Any], *, repeats: int = 3) -> float:
    """Least CPU seconds of this process, over all its threads, that the work took: the least disturbed by others.

    Work of more than two seconds is not repeated: others disturb it little in proportion.
    """
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
        if best > 2:
            break
    return best


def extra_memory(work: Callable[[], Any]) -> int:
    """Most bytes that Python and NumPy held at once beyond what was there before the work."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        kept = work()
        peak = tracemalloc.get_traced_memory()[1]
        del kept
    finally:
        tracemalloc.stop()
    return max(peak - before, 0)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)
