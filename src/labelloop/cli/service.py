"""Processes from a terminal: serve, worker, up, demo; and what is installed: doctor, version."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labelloop.cli import console
from labelloop.cli.console import AsJson, Exit
from labelloop.cli.opening import opened, settings

if TYPE_CHECKING:  # opening nothing keeps `--help` fast
    from labelloop.settings import Settings
    from labelloop.supervisor import Ready
    from labelloop.supervisor.keyring import OwnKeys

Count = Annotated[int, typer.Option(min=0, max=64, help="How many processes of this kind.")]


class Kind(StrEnum):
    """Kinds of worker processes."""

    SAMPLER = "sampler"
    TRAINER = "trainer"
    STEWARD = "steward"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (serve, worker, up, doctor, demo, version):
        app.command()(command)


def serve(
    *,
    fd: Annotated[
        int | None,
        typer.Option(min=3, help="Number of an inherited socket to serve on, when no other process does."),
    ] = None,
) -> None:
    """Run the HTTP API and the page alone; `up` runs everything."""
    from labelloop.api import serve as serve_api

    serve_api(settings(), fd=fd)


def worker(kind: Annotated[Kind, typer.Argument(help="Which kind.")]) -> None:
    """Run one worker process alone; `up` runs everything."""
    settings()  # a wrong variable is one sentence here
    os.execv(sys.executable, [sys.executable, "-m", f"labelloop_workers.{kind}"])  # noqa: S606 - our own program


def up(*, sampler: Count = 1, trainer: Count = 1, steward: Count = 1, spare: Count = 1) -> None:
    """Run everything: Redis (unless LABELLOOP_REDIS_URL), API, page and workers. Ctrl-C stops; twice kills."""
    from labelloop.supervisor import Counts, House

    chosen = settings()
    house = House(chosen, Counts(sampler=sampler, trainer=trainer, steward=steward, spare=spare), _prepared)
    house.run(_announce)


def doctor(*, as_json: AsJson = False) -> None:
    """Say what is wrong with this installation and what to do about it. Exit code 1 when something fails."""
    from labelloop.cli.doctor import examine
    from labelloop.cli.findings import Level

    findings = examine()
    if as_json:
        console.emit(findings)
    else:
        marks = {Level.OK: "ok", Level.WARN: "warn", Level.FAIL: "FAIL"}
        rows = [(marks[one.level], one.check, one.detail, one.remedy) for one in findings]
        console.table("", ["", "check", "found", "what to do"], rows)
    if any(one.level is Level.FAIL for one in findings):
        raise typer.Exit(Exit.FAILED)


def demo(  # noqa: PLR0913 - one parameter per option
    *,
    project: Annotated[str, typer.Option(help="A project of configs/projects, or the path of a file.")] = "digits",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the service running until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the service; 0 is any free one.")] = 0,
    home: Annotated[Path, typer.Option(help="Fresh home folder of the demo; emptied first.")] = Path(".labelloop-demo"),
    out: Annotated[Path, typer.Option(help="Folder of the picture and the numbers.")] = Path("demo"),
    seconds_limit: Annotated[float, typer.Option(help="Give up after so many seconds.")] = 600.0,
    seeds: Annotated[int, typer.Option(min=2, max=50, help="Runs of random sampling to compare with.")] = 5,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live display.")] = False,
) -> None:
    """See the whole loop run on real data with simulated annotators. Exit code 0 only when everything held."""
    from labelloop.demo.options import Options
    from labelloop.demo.run import run

    options = Options(
        project=project, keep=keep, port=port, home=home, out=out, seconds_limit=seconds_limit, seeds=seeds, plain=plain
    )
    raise typer.Exit(Exit.OK if run(options) else Exit.FAILED)


def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    console.line_of(installed("labelloop"))


def _prepared(chosen: "Settings") -> "OwnKeys":
    """Migrate the store, see that the owner has keys, then log as a service does."""
    from labelloop import telemetry

    keys = _own_keys(chosen)
    telemetry.configure(log_format=chosen.log_format, level=chosen.log_level)
    return keys


def _own_keys(chosen: "Settings") -> "OwnKeys":
    """The owner's keys, made on first start. A lost keys.json gets new ones; a lost database gets the same again."""
    from labelloop.api.keys import digest_key, new_key
    from labelloop.domain.states import Role
    from labelloop.domain.types import Identity, Subject
    from labelloop.supervisor import keyring

    keys = keyring.read(chosen.home)
    if keys is None:
        keys = keyring.OwnKeys(admin=new_key(), annotator=new_key())
        keyring.write(chosen.home, keys)
    with opened(chosen) as ports:
        for key, role in ((keys.admin, Role.ADMIN), (keys.annotator, Role.ANNOTATOR)):
            digest = digest_key(chosen.hashing_secret, key)
            if ports.keys.find(digest) is None:
                ports.keys.create(Identity(subject=Subject(role.value), role=role), digest, ports.clock.now())
    return keys


def _announce(ready: "Ready") -> None:
    console.say(f"labelloop is up at {ready.url}")
    console.say(f"  label in a browser   {ready.url}/")
    console.say(f"  annotator key        {ready.keys.annotator}")
    console.say(f"  admin key            {ready.keys.admin}")
    console.say(f"  kept in              {ready.home / 'keys.json'}")
    sys.stdout.flush()
