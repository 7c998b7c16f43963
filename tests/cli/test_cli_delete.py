"""`labelloop project delete`: asks on a terminal, refuses to guess in a script, and says what went."""

import io
from pathlib import Path

import pytest
from terminal import Command, label

from labelloop.loop import delete as deleting
from labelloop.ports import Ports


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else has this database open, but for the fixtures' ports, which look again after a second."""
    monkeypatch.setattr(deleting, "KEY_SECONDS", 1.5)


def test_without_a_terminal_it_asks_for_yes(cli: Command, mail: str, ports: Ports) -> None:
    """A script that did not mean it deletes nothing, and reads what would have gone and how to say so."""
    said = cli("project", "delete", mail)
    assert (said.code, said.out) == (2, "")
    assert "40 items, 0 answers, 0 models" in said.err
    assert "--yes" in said.err
    assert ports.projects.names() == [mail]


def test_on_a_terminal_the_name_is_typed(
    cli: Command, mail: str, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes is shown first, with how to keep the labels; another word than the name deletes nothing."""
    for typed in ("yes\n", "\n", ""):
        monkeypatch.setattr("sys.stdin", Terminal(typed))
        said = cli("project", "delete", mail)
        assert said.code == 2
        assert "Nothing was deleted" in said.err
        assert "labelloop export mail" in said.err
    assert ports.projects.names() == [mail]
    monkeypatch.setattr("sys.stdin", Terminal("mail\n"))
    said = cli("project", "delete", mail)
    assert said.code == 0
    assert "Deleted mail: 40 items, 0 answers, 0 models. Its name is free." in said.out


def test_a_script_deletes_and_creates_again(cli: Command, mail: str, tmp_path: Path) -> None:
    """With --yes nobody is asked; --json says what went; a mended file takes the name at once."""
    assert cli("annotate", mail, _answers(cli, tmp_path), "--as", "anna").code == 0
    said = cli("project", "delete", mail, "--yes", "--json")
    assert said.code == 0
    assert said.json == {
        "project": "mail",
        "items": 40,
        "annotations": 3,
        "models": 0,
        "keys": 0,
        "waits_for": None,
    }
    assert cli("project", "list", "--json").json == []
    file = tmp_path / "mail.toml"
    file.write_text(file.read_text().replace('"ham"', '"fine"'))
    assert cli("project", "create", file).code == 0
    assert cli("project", "show", mail, "--json").json["labels"]["classes"] == ["spam", "fine"]


def test_what_is_not_there_is_one_sentence(cli: Command, mail: str) -> None:
    """An unknown name is an error that names those there are, also with --yes."""
    for more in ((), ("--yes",)):
        said = cli("project", "delete", "nowhere", *more)
        assert said.code == 2
        assert f"There is no project 'nowhere'. Known projects: {mail}" in said.err


def test_what_was_interrupted_is_finished_by_the_same_command(cli: Command, mail: str, ports: Ports) -> None:
    """A project that is marked is nobody's any more, and the command still finds it."""
    ports.removals.begin(mail)
    assert cli("lease", mail).code == 2
    said = cli("project", "delete", mail, "--yes")
    assert "Its name is free." in said.out


def test_a_worker_in_the_middle_is_waited_for_and_named(
    cli: Command, mail: str, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a training holds on for too long the command says so, and who finishes."""
    monkeypatch.setattr("labelloop.cli.project.PATIENCE_SECONDS", 0.2)
    with ports.claims.hold("train-mail-1", 1):
        said = cli("project", "delete", mail, "--yes")
    assert "mail is being deleted, and unknown from now on" in said.out
    assert "in the middle of one of its jobs" in said.err
    assert "steward" in said.err


def test_without_redis_it_says_what_is_left(
    cli: Command, mail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no service runs the project goes all the same, and its name is free."""
    monkeypatch.setenv("LABELLOOP_REDIS_URL", f"unix://{tmp_path}/nothing.sock")
    said = cli("project", "delete", mail, "--yes")
    assert said.code == 0
    assert "Its name is free." in said.out
    assert "when the service is up again" in said.err


def _answers(cli: Command, tmp_path: Path) -> Path:
    import json

    (tmp_path / "answers.json").write_text(json.dumps(label(cli, 3)))
    return tmp_path / "answers.json"
