"""Items in, labels out: streams, bad lines, exports, pictures."""

import csv
import io
import json
import struct
import zlib
from collections.abc import Iterator

import pytest
from serving import text_item

from labelloop.api import lines, tables
from labelloop.domain.states import Role
from labelloop.loop.train import train

NDJSON = {"Content-Type": "application/x-ndjson"}


def png(width: int = 2, height: int = 2) -> bytes:
    """A small grey picture."""

    def part(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + bytes([120] * width) for _ in range(height))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def test_a_stream_has_no_body_limit_and_bad_lines_keep_their_numbers(service):
    """Three times the body limit goes in line by line; what is wrong is reported with its line, the rest goes in."""
    project = service.project()

    def stream() -> Iterator[bytes]:
        yield b'{"key": "first", "data": {"text": "split'
        yield b' over chunks"}}\r\n\n'
        yield b"not json\n"
        yield b'{"key": "", "data": {"text": "x"}}\n'
        yield b'{"key": "n", "data": {"text": "x"}, "label": "superb"}\n'
        for number in range(3000):
            yield json.dumps({"key": str(number), "data": {"text": f"{number} " + "x" * 200}}).encode() + b"\n"
        yield b'{"key": "first", "data": {"text": "again"}}\n{"key": "last", "data": {"text": "no newline"}}'

    with service.http(Role.ENGINEER) as http:
        report = http.post(f"/v1/projects/{project}/items", content=stream(), headers=NDJSON).json()
        counts = http.get(f"/v1/projects/{project}").json()["items"]["counts"]
    assert (report["received"], report["added"], report["duplicates"]) == (3006, 3002, 1)
    assert [row["line"] for row in report["invalid"]] == [3, 4, 5]
    assert "JSON" in report["invalid"][0]["error"]
    assert "good, bad, odd" in report["invalid"][2]["error"]
    assert counts["ingested"] == 3002


def test_an_array_goes_in_and_again_changes_nothing(service):
    """Ingest is idempotent by key."""
    project = service.project()
    rows = [{"key": f"k{number}", "data": {"text": f"text {number}"}} for number in range(5)]
    with service.http(Role.ENGINEER) as http:
        first = http.post(f"/v1/projects/{project}/items", json=rows).json()
        again = http.post(f"/v1/projects/{project}/items", json=rows).json()
    assert first == {"received": 5, "added": 5, "duplicates": 0, "labeled": 0, "invalid": []}
    assert again == {"received": 5, "added": 0, "duplicates": 5, "labeled": 0, "invalid": []}


def test_items_that_require_skills_go_in_both_ways(service):
    """As an array and as a stream; a wrong list is an invalid line that says what a skill looks like."""
    project = service.project()
    rows = [
        {"key": f"k{at}", "data": {"text": f"text {at}"}, "requires": asked}
        for at, asked in enumerate([["lang:de"], [], None, ["Lang:DE"], "lang:de", [f"s{n}" for n in range(9)]])
    ]
    with service.http(Role.ENGINEER) as http:
        array = http.post(f"/v1/projects/{project}/items", json=rows).json()
        stream = "\n".join(
            json.dumps({**row, "key": f"{row['key']}-again", "data": {"text": row["key"]}}) for row in rows
        )
        streamed = http.post(f"/v1/projects/{project}/items", content=stream.encode(), headers=NDJSON).json()
        told = http.get(f"/v1/projects/{project}").json()["requirements"]
    for report in (array, streamed):
        assert report["added"] == 3
        assert [wrong["line"] for wrong in report["invalid"]] == [4, 5, 6]
        assert all("`requires`" in wrong["error"] for wrong in report["invalid"])
        assert "no capitals" in report["invalid"][0]["error"]
    assert told == [{"requires": ["lang:de"], "pooled": 2, "disputed": 0, "uncovered": 2}]


@pytest.mark.parametrize("content, status", [(b"{}", 422), (b"[", 400), (b"", 400), (b"null", 422)])
def test_what_is_no_array_says_what_to_send(service, content, status):
    """The problem names both ways of sending items."""
    project = service.project()
    with service.http(Role.ENGINEER) as http:
        response = http.post(
            f"/v1/projects/{project}/items", content=content, headers={"Content-Type": "application/json"}
        )
    assert response.status_code == status
    if status == 422:
        assert "x-ndjson" in response.json()["detail"]


def test_a_stream_into_an_unknown_project_is_404(service):
    """Also when the items come as a stream."""
    with service.http(Role.ENGINEER) as http:
        response = http.post(
            "/v1/projects/nope/items", content=b'{"key": "a", "data": {"text": "b"}}\n', headers=NDJSON
        )
    assert response.status_code == 404
    assert response.json()["project"] == "nope"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_come_out_whole_however_they_are_cut(size):
    """Chunk borders never show, and a line over the limit is passed over without being held."""
    text = b"ab\n\ncdefghijkl\nmno\n" + b"x" * 50 + b"\nlast"
    chunks = (text[start : start + size] for start in range(0, len(text), size))
    assert list(lines.split(chunks, longest=10)) == [b"ab", b"", b"cdefghijkl", b"mno", None, b"last"]


def test_an_overlong_line_at_the_end_is_reported():
    """A stream that never ends its line is not held in memory."""
    found = list(lines.items(lines.split(iter([b"1\n", b"x" * 20]), longest=10), lambda raw, line: (raw, line)))
    assert found[0] == (1, 1)
    assert found[1].line == 2
    assert "longer" in found[1].error


def labeled(service) -> str:
    """A project with labels that came along."""
    items = [
        {"key": "=1+2", "data": {"text": "=cmd|' /C calc'!A0"}, "label": "good"},
        {"key": "-minus", "data": {"text": 'quiet, with "quotes"\nand lines'}, "label": "bad"},
        {"key": "plain", "data": {"text": "plain"}, "label": "odd"},
    ]
    return service.project(items=items)


def test_export_as_json_lines_brings_every_label(service):
    """One object a line, with key, label and provenance."""
    project = labeled(service)
    with service.http(Role.ENGINEER) as http:
        response = http.get(f"/v1/projects/{project}/export")
    rows = [json.loads(line) for line in response.text.splitlines()]
    assert [(row["key"], row["label"]) for row in rows] == [("=1+2", "good"), ("-minus", "bad"), ("plain", "odd")]
    assert response.headers["content-disposition"].startswith("attachment")


def test_export_as_csv_is_safe_in_a_spreadsheet(service):
    """No cell begins with what a spreadsheet takes for a formula."""
    project = labeled(service)
    with service.http(Role.ENGINEER) as http:
        response = http.get(f"/v1/projects/{project}/export", params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert [row["key"] for row in rows] == ["'=1+2", "'-minus", "plain"]
    assert [row["label"] for row in rows] == ["good", "bad", "odd"]
    assert not [cell for row in rows for cell in row.values() if cell and cell[0] in "=+@\t\r"]


def test_csv_keeps_numbers_and_escapes_text_only():
    """-1.5 stays a number; '-1.5 as text could be a formula."""
    text = b"".join(
        tables.as_csv([{"a": -1.5, "b": "-1.5", "c": "\tx", "d": None, "e": {"k": [1]}, "f": True}])
    ).decode()
    assert text == 'a,b,c,d,e,f\r\n-1.5,\'-1.5,\'\tx,,"{""k"":[1]}",True\r\n'


def test_predictions_of_what_nobody_answered(service):
    """Streamed as JSON lines or as CSV, for engineers, with what was asked for; what cannot be is a problem at once."""
    items = [{**text_item(number), "label": ("good", "bad")[number % 2]} for number in range(20)]
    project = service.project(items=items + [text_item(number) for number in range(20, 30)])
    address = f"/v1/projects/{project}/predictions"
    with service.http(Role.ENGINEER) as http:
        refused = http.get(address)
        assert refused.status_code == 409
        assert f"labelloop retrain {project}" in refused.json()["detail"]
        job = http.post(f"/v1/projects/{project}/trainings").json()["job"]
        train(service.ports, project, job, lambda _part, _what: None)
        assert http.post(f"/v1/projects/{project}/models/1/promote").status_code == 200
        asked = http.get(address, params={"probabilities": "true"})
        rows = [json.loads(line) for line in asked.text.splitlines()]
        assert [row["key"] for row in rows] == [f"k{number}" for number in range(20, 30)]
        assert all(row["label"] in row["probabilities"] and row["model"] == 1 for row in rows)
        text = http.get(address, params={"format": "csv", "model": 1}).text
        assert [row["label"] for row in csv.DictReader(io.StringIO(text))] == [row["label"] for row in rows]
        assert http.get(address, params={"least": 1}).text.count("\n") < len(rows)
        assert http.get(address, params={"least": 2}).status_code == 422
        assert http.get(address, params={"model": 9}).status_code == 404
    with service.http(Role.REVIEWER) as http:
        assert http.get(address).status_code == 403


def test_an_export_of_nothing_and_of_the_unknown(service):
    """An empty project exports nothing; an unknown one, format or training set is a problem before the head is out."""
    project = service.project()
    with service.http(Role.ENGINEER) as http:
        assert http.get(f"/v1/projects/{project}/export").text == ""
        assert http.get("/v1/projects/nope/export").status_code == 404
        assert http.get(f"/v1/projects/{project}/export", params={"format": "xls"}).status_code == 422
        assert http.get(f"/v1/projects/{project}/export", params={"training_set": "0" * 64}).status_code == 404


def test_a_picture_below_the_root_is_served_safely(service, pictures):
    """With its type by suffix, nosniff, as an attachment, and under a policy that runs nothing."""
    (pictures / "a.png").write_bytes(png())
    project = service.project(items=[{"key": "a", "data": {"text": "t", "image": "a.png"}}])
    with service.http() as http:
        response = http.get(f"/v1/projects/{project}/items/0/media/image")
    assert response.content == png()
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-disposition"].startswith("attachment")
    assert response.headers["content-security-policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize(
    "named",
    ["../secret.png", "/etc/hostname.png", "out.png", "missing.png", "a.svg", "a.html", "/etc/passwd", "\0.png"],
)
def test_nothing_else_of_the_disk_is_served(service, pictures, tmp_path, named):
    """Not above the root, not through a link, not what is no picture; and no folder's name is told."""
    (tmp_path / "outside.png").write_bytes(png())
    (pictures.parent / "secret.png").write_bytes(png())
    if not (pictures / "out.png").is_symlink():
        (pictures / "out.png").symlink_to(tmp_path / "outside.png")
    (pictures / "a.svg").write_text("<svg/>")
    (pictures / "a.html").write_text("<p>")
    project = service.project(items=[{"key": "a", "data": {"text": "t", "image": named}}])
    with service.http() as http:
        response = http.get(f"/v1/projects/{project}/items/0/media/image")
    assert response.status_code in {404, 422}
    assert str(pictures) not in response.text


def test_media_of_what_is_not_there(service):
    """An unknown item, a field that names no file, and numbers beyond all items are problems."""
    project = service.project(items=[{"key": "a", "data": {"text": "t", "n": 5}}])
    with service.http() as http:
        base = f"/v1/projects/{project}/items"
        assert http.get(f"{base}/7/media/text").status_code == 404
        assert http.get(f"{base}/0/media/n").status_code == 422
        assert http.get(f"{base}/0/media/nope").status_code == 422
        assert http.get(f"{base}/{10**40}/media/text").status_code in {404, 422}
        assert http.get(f"{base}/x/media/text").status_code == 422
