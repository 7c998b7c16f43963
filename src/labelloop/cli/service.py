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
    from labelloop.domain.states import Role
    from labelloop.ports import Ports
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
    standby: Annotated[
        bool, typer.Option("--standby", help="Wait, loaded, while another process of this home serves.")
    ] = False,
    fd: Annotated[
        int | None, typer.Option(min=3, help="Number of an inherited socket to serve on, instead of host and port.")
    ] = None,
) -> None:
    """Run the HTTP API and the page alone; `up` runs everything."""
    from labelloop.api import serve as serve_api

    serve_api(settings(), standby=standby, fd=fd)


def worker(kind: Annotated[Kind, typer.Argument(help="Which kind.")]) -> None:
    """Run one worker process alone; `up` runs everything."""
    from labelloop.disk import home

    home.make(settings().home)  # a wrong variable, or a folder that cannot be made, is one sentence here
    os.execv(sys.executable, [sys.executable, "-m", f"labelloop_workers.{kind}"])  # noqa: S606 - our own program


def up(*, api: Count = 2, sampler: Count = 1, trainer: Count = 1, steward: Count = 1) -> None:
    """Run everything: Redis (unless LABELLOOP_REDIS_URL), API, page and workers. Ctrl-C stops; twice kills.

    One API process serves; the others stand by and take over at once when it dies.
    """
    from labelloop.supervisor import Counts, House

    chosen = settings()
    house = House(chosen, Counts(api=api, sampler=sampler, trainer=trainer, steward=steward), _prepared)
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
    """The owner's keys, made on first start. A lost keys.json gets new ones; a lost database gets the same again.

    A key that was revoked stays so, and another takes its place.
    """
    from labelloop.api.keys import new_key
    from labelloop.domain.states import Role
    from labelloop.supervisor import keyring

    kept = keyring.read(chosen.home)
    keys = kept or keyring.OwnKeys(admin=new_key(), annotator=new_key())
    if kept is None:
        keyring.write(chosen.home, keys)
    with opened(chosen) as ports:
        valid = keyring.OwnKeys(
            admin=_own_key(ports, chosen.hashing_secret, keys.admin, Role.ADMIN),
            annotator=_own_key(ports, chosen.hashing_secret, keys.annotator, Role.ANNOTATOR),
        )
    if valid != keys:
        keyring.write(chosen.home, valid)
    return valid


def _own_key(ports: "Ports", secret: bytes, key: str, role: "Role") -> str:
    """The key if it opens or can be made to, else a new one."""
    from labelloop.api.keys import digest_key, new_key
    from labelloop.domain.errors import Conflict
    from labelloop.domain.types import Identity, Subject

    if ports.keys.find(digest_key(secret, key)) is not None:
        return key
    identity = Identity(subject=Subject(role.value), role=role)
    try:
        ports.keys.create(identity, digest_key(secret, key), ports.clock.now())
    except Conflict:  # revoked
        key = new_key()
        ports.keys.create(identity, digest_key(secret, key), ports.clock.now())
    return key


def _announce(ready: "Ready") -> None:
    console.say(f"labelloop is up at {ready.url}")
    console.say(f"  label in a browser   {ready.url}/")
    console.say(f"  annotator key        {ready.keys.annotator}")
    console.say(f"  admin key            {ready.keys.admin}")
    console.say(f"  kept in              {ready.home / 'keys.json'}")
    sys.stdout.flush()
