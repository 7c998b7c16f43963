"""The command line as a person, a script and a scheduler meet it."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import Command, label

from labelloop.adapters.rq import workers
from labelloop.adapters.rq.connection import connect
from labelloop.domain.states import JobKind
from labelloop.domain.types import ModelNumber
from labelloop.loop.plan import plan
from labelloop.ports import Ports


def _answer(cli: Command, tmp_path: Path, answers: list[dict[str, str]], name: str = "anna") -> None:
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    said = cli("annotate", "mail", tmp_path / "answers.json", "--as", name, "--json")
    assert {one["outcome"] for one in said.json["annotations"]} == {"accepted"}


def test_every_command_has_help(cli: Command) -> None:
    """--help of every command and group says what it does and leaves with 0."""
    said = cli("--help")
    names = [
        line.split()[0]
        for line in said.out.partition("Commands:")[2].splitlines()
        if line.startswith("  ") and line[2] != " "
    ]
    assert {
        "serve",
        "worker",
        "up",
        "project",
        "ingest",
        "lease",
        "annotate",
        "retrain",
        "promote",
        "models",
        "export",
        "simulate",
        "key",
        "doctor",
        "demo",
        "version",
    } <= set(names)
    for name in names:
        assert cli(name, "--help").code == 0
        assert len(cli(name, "--help").out.splitlines()) > 3


def test_help_loads_nothing_heavy() -> None:
    """`labelloop --help` imports neither numpy nor the store, so it answers at once."""
    code = (
        "import sys; from labelloop.cli.app import run; run(['--help']); "
        "print(sorted({'numpy', 'sqlalchemy', 'sklearn', 'fastapi', 'pydantic', 'redis'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")


def test_an_unknown_project_is_one_sentence_and_code_2(cli: Command) -> None:
    """The error names the remedy, on standard error, without a traceback."""
    said = cli("lease", "nowhere")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Error: There is no project 'nowhere'.")
    assert "labelloop project create" in said.err
    assert "Traceback" not in said.err


def test_a_project_file_with_a_typo_is_explained(cli: Command, tmp_path: Path) -> None:
    """An unknown key is answered with the known ones."""
    (tmp_path / "p.toml").write_text('name = "p"\nlables = 1\n')
    said = cli("project", "create", tmp_path / "p.toml")
    assert said.code == 2
    assert "lables" in said.err
    assert "labels" in said.err


def test_a_list_that_is_no_json_is_named(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare path is what one writes first; the sentence says how a list is written."""
    monkeypatch.setenv("LABELLOOP_ITEM_ROOTS", "/data/pictures")
    said = cli("project", "list")
    assert said.code == 2
    assert 'LABELLOOP_ITEM_ROOTS is a list in JSON, such as ["/data/pictures"]' in said.err


def test_a_wrong_variable_is_named(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that cannot be read is named as the variable the user set."""
    monkeypatch.setenv("LABELLOOP_PORT", "many")
    said = cli("project", "list")
    assert said.code == 2
    assert "LABELLOOP_PORT" in said.err


def test_each_class_is_told_of(cli: Command, mail: str) -> None:
    """A line for each class, and why nothing is said of chance yet."""
    found = cli("project", "classes", mail, "--json").json
    told = cli("project", "classes", mail)
    assert all(one["class"] in told.out for one in found["classes"])
    assert "audit lane, which has no answers yet" in " ".join(told.err.split())


def test_a_project_is_created_listed_and_shown(cli: Command, mail: str) -> None:
    """What was created is there, with its counts; JSON and text say the same."""
    assert [row["name"] for row in cli("project", "list", "--json").json] == [mail]
    shown = cli("project", "show", mail, "--json").json
    assert shown["items"]["counts"]["ingested"] == 40
    assert "40" in cli("project", "show", mail).out
    assert cli("project", "schema").json["properties"]["labels"]


def test_ingest_reports_bad_lines_and_takes_the_rest(cli: Command, mail: str, tmp_path: Path) -> None:
    """A bad line is reported with its number; the same file again changes nothing."""
    (tmp_path / "more.jsonl").write_text(
        '{"key": "a", "data": {"text": "x"}}\nnot json\n{"key": "b", "data": {"text": "y"}}\n'
    )
    report = cli("ingest", mail, tmp_path / "more.jsonl", "--json").json
    assert (report["received"], report["added"], [bad["line"] for bad in report["invalid"]]) == (3, 2, [2])
    again = cli("ingest", mail, tmp_path / "more.jsonl")
    assert "0 added, 2 duplicates, 1 invalid" in again.out
    assert "line 2" in again.err


@pytest.mark.parametrize("lines", [3, 1_001])
def test_ingest_of_nothing_but_bad_lines_is_an_error(cli: Command, mail: str, tmp_path: Path, lines: int) -> None:
    """However many they are: a report names a thousand at most. One good line among them, and it is none."""
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"key": ""}\n' * lines)
    said = cli("ingest", mail, bad)
    assert (said.code, f"{lines} received, 0 added, 0 duplicates, {lines} invalid" in said.out) == (2, True)
    assert cli("ingest", mail, bad, "--json").code == 2
    with bad.open("a") as file:
        file.write('{"key": "a", "data": {"text": "x"}}\n')
    assert cli("ingest", mail, bad).code == 0


def test_labels_that_come_later_are_told(cli: Command, mail: str, tmp_path: Path) -> None:
    """The same items with labels settle what waits; a second label is refused, with the reason."""
    (tmp_path / "late.jsonl").write_text(
        '{"key": "a", "data": {"text": "x"}}\n{"key": "a", "data": {"text": "x"}, "label": "spam"}\n'
        '{"key": "a", "data": {"text": "x"}, "label": "ham"}\n'
    )
    told = cli("ingest", mail, tmp_path / "late.jsonl")
    assert "1 added, 1 duplicates, 1 invalid" in told.out
    assert "1 that waited in the pool have their label now" in told.out
    assert "line 3: item 'a': the label 'ham' is not taken: it has the label 'spam' already" in told.err


def test_labels_can_be_left_behind(cli: Command, mail: str, tmp_path: Path, ports: Ports) -> None:
    """A labeled table becomes an unlabeled pool with --without-labels, and the label is not in the data."""
    (tmp_path / "t.csv").write_text("id,text,y\n1,cheap watches,spam\n2,lunch at noon,ham\n")
    columns = ("--label", "y", "--key", "id", "--json")
    assert cli("ingest", mail, tmp_path / "t.csv", *columns, "--without-labels").json["added"] == 2
    item = ports.pool.find(mail, "1")
    assert item is not None
    assert (item.label, item.state, dict(item.data)) == (None, "pooled", {"text": "cheap watches"})
    (tmp_path / "u.csv").write_text("id,text,y\n3,free money,spam\n")
    assert cli("ingest", mail, tmp_path / "u.csv", *columns).json["added"] == 1
    known = ports.pool.find(mail, "3")
    assert known is not None
    assert (known.label, known.state) == ("spam", "resolved")


def test_lease_annotate_and_replay(cli: Command, mail: str, tmp_path: Path) -> None:
    """Leases go out as JSON, answers come back as JSON; the same key counts once; a wrong label is rejected."""
    answers = label(cli, 3)
    answers[2]["label"] = "eggs"
    (tmp_path / "a.json").write_text(json.dumps(answers))
    first = cli("annotate", mail, tmp_path / "a.json", "--as", "anna", "--key", "k1", "--json").json
    assert [one["outcome"] for one in first["annotations"]] == ["accepted", "accepted", "rejected"]
    assert "spam, ham" in first["annotations"][2]["reason"]
    again = cli("annotate", mail, tmp_path / "a.json", "--as", "anna", "--key", "k1", "--json").json
    assert again["replayed"]
    assert again["annotations"] == first["annotations"]


def test_answers_under_another_name_are_an_error_that_points_to_as(cli: Command, mail: str, tmp_path: Path) -> None:
    """Leased by anna, answered without --as: nothing is taken, and it is said whose leases were looked for."""
    (tmp_path / "a.json").write_text(json.dumps(label(cli, 2)))
    said = cli("annotate", mail, tmp_path / "a.json")
    assert said.code == 2
    assert "2 leases are none of '" in said.err
    assert "your login name. Were they leased under another name? Then give it: --as NAME" in said.err
    assert "No answer was taken, of 2" in said.err
    other = cli("annotate", mail, tmp_path / "a.json", "--as", "ben", "--json")
    assert (other.code, [one["outcome"] for one in other.json["annotations"]]) == (2, ["rejected", "rejected"])
    assert "none of 'ben'. Were they" in other.err
    assert cli("annotate", mail, tmp_path / "a.json", "--as", "anna").code == 0


def test_some_answers_taken_is_no_error_but_the_others_are_explained(cli: Command, mail: str, tmp_path: Path) -> None:
    """One lease is ours, one is not, one line has none: the first counts, the others say what to do."""
    (own,) = label(cli, 1)
    lines = [json.dumps(own), "", json.dumps({"lease": "999", "label": "spam"}), json.dumps({"label": "ham"}), "7"]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    said = cli("annotate", mail, tmp_path / "a.jsonl", "--as", "anna", "--json")
    assert said.code == 0
    assert "1 lease is none of 'anna'" in said.err
    ours, strange, missing, odd = said.json["annotations"]
    assert (ours["outcome"], strange["lease"]) == ("accepted", "999")
    assert (missing["lease"], missing["outcome"]) == ("", "rejected")
    assert missing["reason"].startswith("line 4: no `lease`;")
    assert odd["reason"].startswith("line 5: an annotation must be an object")
    told = cli("annotate", mail, tmp_path / "a.jsonl", "--as", "anna")
    assert "line 4: no `lease`;" in told.out
    assert "None" not in told.out + told.err


@pytest.mark.parametrize("whole, place", [('{"label": "ham"}', "line 1"), ('[{"label": "ham"}]', "answer 1")])
def test_an_answer_without_a_lease_is_named_by_its_place(
    cli: Command, mail: str, tmp_path: Path, whole: str, place: str
) -> None:
    """By its line, or in a list by its number; alone it is an error."""
    (tmp_path / "a.json").write_text(whole)
    said = cli("annotate", mail, tmp_path / "a.json")
    assert said.code == 2
    assert f"{place}: no `lease`" in said.out
    assert "--as" not in said.err


def test_a_round_is_replayed_and_a_difference_leaves_with_1(cli: Command, mail: str, ports: Ports) -> None:
    """A planned round comes out equal with exit code 0; with another seed the first difference is told, with 1."""
    said = cli("round", "replay", mail)
    assert said.code == 0, said
    assert "equal, 40 queries" in said.out
    with ports.rounds._database.write() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("UPDATE round SET seed = seed + 1")
    said = cli("round", "replay", mail, 1)
    assert said.code == 1
    assert "planned was" in said.out
    assert cli("round", "replay", mail, 1, "--json").json["equal"] is False
    assert cli("round", "replay", mail, 7).code == 2


def test_retrain_without_labels_leaves_with_4(cli: Command, mail: str, worker: None) -> None:
    """No model can come of no labels: exit code 4, and the reason."""
    said = cli("retrain", mail, "--wait", "--timeout", 30)
    assert said.code == 4, said


def test_retrain_without_a_worker_leaves_with_5(cli: Command, mail: str) -> None:
    """Not ended in time: exit code 5; the job goes on."""
    said = cli("retrain", mail, "--wait", "--timeout", 0.5, "--json")
    assert (said.code, said.json["state"]) == (5, "due")


def test_retrain_that_ran_out_of_time_says_whether_a_trainer_is_alive(
    cli: Command, mail: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waited is not told to wait: without workers, with which to start; with some, what to look at."""
    late = ("retrain", mail, "--wait", "--timeout", 0.3)
    said = cli(*late)
    assert (said.code, said.out) == (5, "")
    assert "Time ran out: after 0.3 s the job " in said.err
    assert "No trainer and no steward is alive" in said.err
    assert "`labelloop worker trainer`" in said.err
    assert "--wait" not in said.err
    assert "No trainer and no steward is alive" in cli(*late, "--json").err
    connection = connect(os.environ["LABELLOOP_REDIS_URL"])
    born = [make(connection) for make in (workers.trainer_worker, workers.steward_worker)]
    for one in born:
        one.register_birth()
    said = cli(*late)
    assert (said.code, "1 trainer is alive, and may be at work on another job" in said.err) == (5, True)
    assert f"look at /v1/jobs/{said.err.split('the job ')[1].split()[0]};" in said.err
    assert "run this again with the same --key" in cli(*late, "--key", "nightly").err
    born[0].register_death()
    assert "No trainer is alive" in cli(*late).err
    connection.close()
    monkeypatch.setenv("LABELLOOP_REDIS_URL", "redis://127.0.0.1:1")
    said = cli(*late)
    assert (said.code, "Redis does not answer" in said.err) == (5, True)


def test_retrain_promotes_exports_and_rolls_back(
    cli: Command, mail: str, worker: None, tmp_path: Path, ports: Ports
) -> None:
    """A training on labels promotes with exit code 0; models, export and a rollback by hand follow."""
    _answer(cli, tmp_path, label(cli, 16))
    said = cli("retrain", mail, "--wait", "--timeout", 30, "--key", "nightly", "--json")
    assert (said.code, said.json["result"]["state"]) == (0, "champion"), said
    again = cli("retrain", mail, "--wait", "--timeout", 30, "--key", "nightly", "--json")
    assert again.json["job"] == said.json["job"]
    first = said.json["model"]["number"]
    assert cli("retrain", mail, "--wait", "--timeout", 30).code in (0, 3)
    assert first in [row["number"] for row in cli("models", mail, "--json").json]
    assert cli("promote", mail, first).code == 0
    assert ports.projects.row(mail).champion == ModelNumber(first)
    assert cli("promote", mail, 99).code == 2
    rows = [json.loads(line) for line in cli("export", mail).out.splitlines()]
    assert len(rows) == 16
    assert {row["label"] for row in rows} == {"spam", "ham"}
    cli("export", mail, "--format", "csv", "-o", tmp_path / "labels.csv")
    assert len(list(csv.DictReader(io.StringIO((tmp_path / "labels.csv").read_text())))) == 16


def test_the_rest_of_the_pool_is_predicted(cli: Command, mail: str, tmp_path: Path, worker: None) -> None:
    """Before there is a model it says how to get one; then every item without an answer is written, in any format."""
    assert "labelloop retrain mail" in cli("predict", mail).err
    _answer(cli, tmp_path, label(cli, 8))
    cli("retrain", mail, "--wait", "--timeout", 30)
    rows = [json.loads(line) for line in cli("predict", mail).out.splitlines()]
    counts = cli("project", "show", mail, "--json").json["items"]["counts"]
    assert len(rows) == counts["ingested"] - counts["resolved"]
    assert {row["label"] for row in rows} <= {"spam", "ham"}
    said = cli("predict", mail, "--probabilities", "-o", tmp_path / "rest.csv")
    assert f"{len(rows)} predictions in" in said.err
    with (tmp_path / "rest.csv").open(encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [row["label"] for row in written] == [row["label"] for row in rows]
    assert json.loads(written[0]["probabilities"]).keys() == {"spam", "ham"}
    assert cli("predict", mail, "--least", 1, "-o", tmp_path / "sure.jsonl").code == 0
    assert "from 0 to 1" in cli("predict", mail, "--least", 90).err
    assert cli("predict", mail, "--model", 99).code == 2


def test_export_to_parquet_has_types(cli: Command, mail: str, tmp_path: Path, worker: None) -> None:
    """Parquet keeps numbers as numbers and nested values as JSON."""
    parquet = pytest.importorskip("pyarrow.parquet")
    _answer(cli, tmp_path, label(cli, 5))
    cli("retrain", mail, "--wait", "--timeout", 30)
    assert cli("export", mail, "--format", "parquet", "-o", tmp_path / "labels.parquet").code == 0
    found = parquet.read_table(tmp_path / "labels.parquet").to_pylist()
    assert len(found) == 5
    assert isinstance(found[0]["item"], int)
    assert json.loads(found[0]["data"])["text"]


@pytest.mark.usefixtures("mail")
def test_labels_of_a_file_in_another_form_are_not_shown_to_people(cli: Command, tmp_path: Path) -> None:
    """The source is a CSV whose column `topic` is the label; the same rows as JSON lines must say so."""
    (tmp_path / "mails.csv").write_text("text,topic\nbuy pills,spam\nsee you,ham\n")
    source = f'[source.data]\nkind = "table"\npath = "{tmp_path}/mails.csv"\nlabel = "topic"\n'
    second = (tmp_path / "mail.toml").read_text().replace('"mail"', '"mail2"') + source
    (tmp_path / "mail2.toml").write_text(second)
    assert cli("project", "create", tmp_path / "mail2.toml").code == 0
    (tmp_path / "mails.jsonl").write_text('{"text": "buy more", "topic": "spam"}\n{"text": "hello", "topic": "ham"}\n')
    said = cli("ingest", "mail2", tmp_path / "mails.jsonl")
    assert said.code == 2
    assert "--label topic" in said.err
    named = cli("ingest", "mail2", tmp_path / "mails.jsonl", "--label", "topic", "--json")
    assert (named.json["added"], cli("project", "show", "mail2", "--json").json["items"]["counts"]["resolved"]) == (
        2,
        2,
    )
    meant = cli("ingest", "mail2", tmp_path / "mails.jsonl", "--label", "", "--json")
    assert meant.json["received"] == 2


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
@pytest.mark.usefixtures("worker")
def test_an_export_goes_into_another_project(cli: Command, mail: str, tmp_path: Path, ports: Ports, form: str) -> None:
    """Labels move to another project, whatever its source names."""
    _answer(cli, tmp_path, label(cli, 5))
    cli("retrain", mail, "--wait", "--timeout", 30)
    moved = tmp_path / f"moved.{form}"
    assert cli("export", mail, "--format", form, "-o", moved).code == 0
    source = f'[source.data]\nkind = "table"\npath = "mails.{form}"\nlabel = "topic"\nkey = "id"\n'
    second = (tmp_path / "mail.toml").read_text().replace('"mail"', '"mail2"') + source
    (tmp_path / "mail2.toml").write_text(second)
    assert cli("project", "create", tmp_path / "mail2.toml").code == 0
    said = cli("ingest", "mail2", moved, "--json")
    assert (said.code, said.json["added"], said.json["invalid"]) == (0, 5, []), said
    then, now = (
        {row["key"]: (row["data"]["text"], row["label"]) for row in ports.verdicts.export(name)}
        for name in (mail, "mail2")
    )
    assert then == now


def test_export_goes_by_the_ending_of_the_file(cli: Command, mail: str, tmp_path: Path, worker: None) -> None:
    """A table of the ending's kind, upper case too; --format has the last word, other endings mean JSON lines."""
    parquet = pytest.importorskip("pyarrow.parquet")
    _answer(cli, tmp_path, label(cli, 5))
    cli("retrain", mail, "--wait", "--timeout", 30)

    def written(name: str, *options: str) -> bytes:
        assert cli("export", mail, "-o", tmp_path / name, *options).code == 0
        return (tmp_path / name).read_bytes()

    def rows(content: bytes) -> int:
        return len([json.loads(line) for line in content.splitlines()])

    for name in ("l.csv", "L.CSV"):
        assert len(list(csv.DictReader(io.StringIO(written(name).decode())))) == 5
    written("l.parquet")
    assert parquet.read_table(tmp_path / "l.parquet").num_rows == 5
    assert [rows(written(name)) for name in ("l.jsonl", "l.txt", "l", "l.csv.old")] == [5] * 4
    assert rows(written("l.csv", "--format", "jsonl")) == 5
    assert rows(cli("export", mail).out.encode()) == 5


def test_an_unknown_export_format_lists_the_known(cli: Command, mail: str) -> None:
    """The error names the formats there are."""
    said = cli("export", mail, "--format", "xml")
    assert said.code == 2
    assert "jsonl, csv, parquet" in said.err


def test_a_key_is_made_once_and_revoked(cli: Command, mail: str, ports: Ports) -> None:
    """The key is printed bare, only its hash is kept, and a revoked one is unknown."""
    made = cli("key", "create", "--subject", "anna", "--role", "reviewer", "--project", mail)
    key = made.out.strip()
    assert key.startswith("ll_")
    assert cli("key", "revoke", key).code == 0
    assert cli("key", "revoke", key).code == 2
    assert cli("key", "create", "--subject", "x", "--project", "nowhere").code == 2


def test_somebody_leaves(cli: Command, mail: str) -> None:
    """Whoever has no key at hand finds it in the list by its subject, and ends it by its id or all at once."""
    keys = [cli("key", "create", "--subject", "anna", "--project", mail).out.strip() for _ in range(3)]
    cli("key", "create", "--subject", "ben", "--role", "reviewer")
    listed = cli("key", "list", "--subject", "anna", "--json").json
    assert [(one["subject"], one["role"], one["project"]) for one in listed] == [("anna", "annotator", mail)] * 3
    assert not any(key in cli("key", "list").out for key in keys)
    assert cli("key", "revoke", listed[0]["id"]).code == 0
    assert cli("key", "revoke", listed[0]["id"]).code == 2
    ended = cli("key", "revoke", "--subject", "anna")
    assert (ended.code, ended.out.count("annotator anna")) == (0, 2)
    assert cli("key", "list", "--project", mail, "--json").json == []
    assert all(one["revoked_at"] for one in cli("key", "list", "--subject", "anna", "--revoked", "--json").json)
    assert "'anna'" in cli("key", "revoke", "--subject", "anna").err
    assert "Name a key" in cli("key", "revoke").err
    assert "ben" in cli("key", "list").out
    assert cli("key", "revoke", "0123456789ab").code == 2


def test_somebody_learns_a_language(cli: Command, mail: str) -> None:
    """The skills of a key are changed by its id or its text: those that are named and no others."""
    key = cli("key", "create", "--subject", "[b]dora", "--project", mail, "--skill", "law").out.strip()
    assert "[b]dora" in cli("key", "skills", key, "--skill", "law", "--skill", "lang:de").out
    one = cli("key", "list", "--json").json[0]
    assert one["skills"] == ["lang:de", "law"]
    assert cli("key", "skills", one["id"], "--none").code == 0
    assert cli("key", "list", "--json").json[0]["skills"] == []
    assert "--none" in cli("key", "skills", key).err
    assert "no skill" in cli("key", "skills", key, "--skill", "Deutsch").err
    cli("key", "revoke", key)
    assert "new one" in cli("key", "skills", key, "--skill", "law").err


def test_skills_on_the_command_line(cli: Command, mail: str, tmp_path: Path, ports: Ports) -> None:
    """A column says what items require; `--skill` what an annotator carries; the report warns of what nobody covers."""
    (tmp_path / "more.csv").write_text('id,text,needs\nx1,eins,lang:de law\nx2,zwei,"lang:de,law"\nx3,drei,\n')
    said = cli("ingest", mail, tmp_path / "more.csv", "--key", "id", "--requires", "needs", "--json")
    assert said.json["added"] == 3
    plan(ports, mail, lambda _part, _what: None)
    shown = cli("project", "show", mail, "--json").json["requirements"]
    assert shown == [{"requires": ["lang:de", "law"], "pooled": 2, "disputed": 0, "uncovered": 2}]
    assert (
        "2 items wait for an annotator with lang:de + law, and no key carries that" in cli("project", "show", mail).err
    )
    carried = ("--skill", "law", "--skill", "lang:de")
    made = cli("key", "create", "--subject", "dora", *carried, "--json")
    assert made.json["skills"] == ["lang:de", "law"]
    assert "no key carries" not in cli("project", "show", mail).err
    keys = [one["key"] for one in cli("lease", mail, "--count", 100, "--as", "anna", "--json").json["leases"]]
    assert len(keys) == 41
    assert "require: lang:de + law" in cli("lease", mail, "--as", "anna").out
    dora = cli("lease", mail, "--as", "dora", *carried, "--json").json["leases"]
    assert {one["key"] for one in dora} == {"x1", "x2"}


@pytest.mark.parametrize("skill", ["Lang:DE", "two words", "", "x" * 65])
def test_a_skill_that_is_none_is_refused(cli: Command, mail: str, skill: str) -> None:
    """With what a skill may look like; no key is made, nothing is leased."""
    for command in (("key", "create", "--subject", "x"), ("lease", mail)):
        said = cli(*command, "--skill", skill)
        assert said.code == 2
        assert "is no skill" in said.err


def test_who_revokes_a_key_of_the_owner_gets_another_at_the_next_start(cli: Command, mail: str, ports: Ports) -> None:
    """The service starts, the revoked key stays without effect, and the other key is the same as before."""
    from labelloop.api.keys import digest_key
    from labelloop.cli.service import _own_keys
    from labelloop.settings import Settings

    settings = Settings()
    before = _own_keys(settings)
    assert _own_keys(settings) == before
    assert cli("key", "revoke", before.annotator).code == 0
    after = _own_keys(settings)
    assert after.admin == before.admin
    assert ports.keys.find(digest_key(settings.hashing_secret, before.annotator)) is None
    found = ports.keys.find(digest_key(settings.hashing_secret, after.annotator))
    assert found is not None
    assert found.role == "annotator"
    assert _own_keys(settings) == after


def test_doctor_finds_the_store_and_missing_workers(cli: Command, mail: str) -> None:
    """Every check has a level; missing workers are a warning with what to do."""
    said = cli("doctor", "--json")
    findings = {one["check"]: one for one in said.json}
    assert said.code == 0, said.out
    assert findings["database"]["level"] == "ok"
    assert findings["redis"]["level"] == "ok"
    assert findings["worker trainer"]["level"] == "warn"
    assert "labelloop up" in findings["worker trainer"]["remedy"]
    assert findings[f"queue of {mail}"]["level"] == "ok"


def test_doctor_names_a_round_that_could_not_be_planned_and_how_to_go_on(cli: Command, mail: str, ports: Ports) -> None:
    """Without it people would wait for a first round for ever; another can be asked for."""
    asked = cli("round", "plan", mail)
    assert asked.code == 0, asked.out
    job = ports.jobs.recent(mail, JobKind.PLAN, 1)[0]
    assert job.id in asked.out
    now = ports.clock.now()
    ports.jobs.claim(job.id, 1, now)
    ports.jobs.finish(job.id, 1, now=now, result=None, problem={"type": "x", "detail": "item 'm3' is odd"})
    said = cli("doctor", "--json")
    found = next(one for one in said.json if one["check"] == f"queue of {mail}")
    assert (said.code, found["level"]) == (1, "fail")
    assert "item 'm3' is odd" in found["detail"]
    assert f"labelloop round plan {mail}" in found["remedy"]


def test_doctor_fails_on_a_readable_secret(cli: Command, mail: str, home: Path) -> None:
    """A secret that others can read fails the check, and the remedy is a command."""
    cli("key", "create", "--subject", "anna")
    (home / "secret").chmod(0o644)
    said = cli("doctor")
    assert said.code == 1
    assert "chmod 600" in said.out


def test_doctor_warns_of_unknown_variables(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable would silently do nothing; doctor names it."""
    monkeypatch.setenv("LABELLOOP_REDIS", "redis://nowhere")
    findings = {one["check"]: one for one in cli("doctor", "--json").json}
    assert findings["settings"]["level"] == "warn"
    assert "LABELLOOP_REDIS" in findings["settings"]["detail"]


NO_HOME = ("file/inside", "file", "/proc/nothing")
"""Homes that cannot be: below a file, a file, and where the system lets nobody write."""


def _no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str) -> str:
    (tmp_path / "file").touch()
    chosen = str(tmp_path / home)
    monkeypatch.setenv("LABELLOOP_HOME", chosen)
    return chosen


@pytest.mark.parametrize("home", NO_HOME)
@pytest.mark.parametrize("command", ["up", "serve", "worker trainer", "project list", "key create --subject x"])
def test_a_home_that_cannot_be_made_is_one_sentence(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str, command: str
) -> None:
    """Whatever was asked: the folder, why not, and what to set; exit code 2 and no trace."""
    chosen = _no_home(tmp_path, monkeypatch, home)
    said = cli(*command.split())
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"Error: The home folder {chosen} cannot be made: ")
    assert "Set LABELLOOP_HOME to a folder you may write to." in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["up", "key create --subject x"])
def test_a_home_that_cannot_be_written_is_one_sentence(
    cli: Command, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """It is there, and its first file cannot be made."""
    monkeypatch.setenv("LABELLOOP_HOME", "/proc")
    said = cli(*command.split())
    assert said.code == 2
    assert "The home folder /proc cannot be written: nothing can be written in /proc." in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("home", [*NO_HOME, "/proc"])
def test_doctor_fails_on_a_home_that_cannot_be(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    """It promises no first start; a folder that can be made is still only a warning."""
    _no_home(tmp_path, monkeypatch, home)
    said = cli("doctor", "--json")
    found = next(one for one in said.json if one["check"] == "home")
    assert (said.code, found["level"]) == (1, "fail")
    assert "Set LABELLOOP_HOME" in found["remedy"]
    monkeypatch.setenv("LABELLOOP_HOME", str(tmp_path / "a" / "b"))
    found = next(one for one in cli("doctor", "--json").json if one["check"] == "home")
    assert (found["level"], found["remedy"]) == ("warn", "The first start makes it.")
    assert not (tmp_path / "a").exists()


def test_a_project_file_is_checked_without_a_home(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good file is told with its defaults, one that cannot work is refused as at its creation; nothing is made."""
    monkeypatch.setenv("LABELLOOP_HOME", str(tmp_path / "home"))
    good = 'name = "p"\nlabels = { kind = "classes", classes = ["a", "b"] }\nfeatures = { kind = "text" }\n'
    (tmp_path / "p.toml").write_text(good)
    (tmp_path / "q.toml").write_text(good + 'model = { kind = "sklearn", parameters = { c = 1 } }\n')
    said = cli("project", "check", tmp_path / "p.toml")
    assert said.code == 0
    assert "herding" in said.out
    assert "per_label" in said.out
    assert "labelloop project create" in said.err
    assert cli("project", "check", tmp_path / "p.toml", "--json").json["strategy"]["kind"] == "margin"
    refused = cli("project", "check", tmp_path / "q.toml")
    assert refused.code == 2
    assert "no parameter 'c'" in refused.err
    assert not (tmp_path / "home").exists()


@pytest.mark.usefixtures("worker")
def test_a_project_file_is_changed_while_people_label(cli: Command, mail: str, tmp_path: Path) -> None:
    """Tried dry, put in force, listed, and read back; what cannot be changed is named with the reason."""
    file = tmp_path / "mail.toml"
    file.write_text(file.read_text() + '[strategy]\nkind = "random"\n[lease]\nseconds = 30\n')
    dry = cli("project", "update", file, "--dry-run")
    assert (dry.code, "strategy.kind" in dry.out, "Nothing was changed" in dry.err) == (0, True, True), dry
    said = cli("project", "update", file)
    assert said.code == 0
    assert "Edition 2 is in force" in said.err
    assert "new order" in said.err
    assert cli("project", "update", file, "--json").json["differences"] == []
    assert "says nothing new" in cli("project", "update", file).out
    told = cli("project", "history", mail, "--json").json
    assert [one["edition"] for one in told] == [2, 1]
    assert "lease.seconds" in cli("project", "history", mail).out
    whole = tmp_path / "back.json"
    whole.write_text(cli("project", "file", mail, "--edition", 1).out)
    assert cli("project", "update", whole, "--json").json["edition"] == 3
    whole.write_text(json.dumps(json.loads(whole.read_text()) | {"seed": 4}))
    refused = cli("project", "update", whole)
    assert (refused.code, "seed" in refused.err, "another name" in refused.err) == (2, True, True), refused
    assert cli("project", "create", file).code == 2
