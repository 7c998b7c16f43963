"""Item files of every format: the same items out of each, and a bad line costs that line only."""

import csv
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.adapters.files.readers import read_items, total
from labelloop.domain.errors import InvalidItems
from labelloop.domain.types import InvalidLine, NewItem

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def items(path: Path, **options: Any) -> list[NewItem]:
    """All items of a file that has no bad line."""
    rows = list(read_items(path, **options))
    assert not [row for row in rows if isinstance(row, InvalidLine)]
    return [row for row in rows if isinstance(row, NewItem)]


def outcome(path: Path, **options: Any) -> list[tuple[int, str]]:
    """Line and, for a good row, its text; for a bad one, the reason after `!`."""
    rows = read_items(path, **options)
    return [
        (row.line, f"!{row.error}" if isinstance(row, InvalidLine) else str(row.data.get("text", row.data)))
        for row in rows
    ]


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6), ending=st.sampled_from(["csv", "tsv"]))
def test_any_text_survives_a_quoted_table(
    rows: list[tuple[str, str]], ending: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Quotes, commas, line breaks and every script come back as they went in."""
    path = tmp_path_factory.mktemp("table") / f"items.{ending}"
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter="," if ending == "csv" else "\t", quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "more"), *rows])
    path.write_bytes(buffer.getvalue().encode())
    assert [(item.data["text"], item.data["more"]) for item in items(path)] == rows


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(st.dictionaries(TEXT, JSON, min_size=1, max_size=3), max_size=5), indent=st.sampled_from([None, 2])
)
def test_any_json_survives_lines_and_arrays(
    values: list[dict[str, Any]], indent: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A JSON array and JSON lines give the same items, however deep and however written."""
    folder = tmp_path_factory.mktemp("json")
    wire = [{"key": str(place), "data": value} for place, value in enumerate(values)]
    array, lines = folder / "a.json", folder / "b.jsonl"
    array.write_text(json.dumps(wire, indent=indent), encoding="utf-8")
    lines.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in wire), encoding="utf-8")
    assert [item.data for item in items(array)] == values
    assert [item.data for item in items(lines)] == values


def test_an_array_is_cut_right_across_pieces(tmp_path: Path) -> None:
    """Quotes, escapes and brackets inside texts do not end an element, wherever the file is cut into pieces."""
    texts = ['"' * place + "\\" * (place % 7) + "[{,]}é" * (place % 11) for place in range(2_500)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"key": str(place), "data": {"text": text}} for place, text in enumerate(texts)]))
    assert path.stat().st_size > 3 * 1024 * 1024
    assert [item.data["text"] for item in items(path)] == texts


def test_a_table_becomes_wire_items(tmp_path: Path) -> None:
    """Columns of label, key and known answer are taken out, classes renamed; the rest is data; a BOM is no name."""
    path = tmp_path / "words.csv"
    path.write_bytes("\ufeffid,text,class,gold,n\na,Grüße,0,,1\nb,bye,,1,2\n".encode())
    found = items(path, label="class", key="id", gold="gold", classes={"0": "yes", "1": "no"})
    assert found == [
        NewItem(key="a", data={"text": "Grüße", "n": "1"}, label="yes", line=2),
        NewItem(key="b", data={"text": "bye", "n": "2"}, gold="no", line=3),
    ]


def test_rows_without_key_get_stable_ones(tmp_path: Path) -> None:
    """Reading a file twice gives the same keys, and two files never give the same ones."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text("text\nhello\nbye\n")
    (tmp_path / "three.jsonl").write_text('{"text": "hello"}\n\n{"data": {"text": "bye"}}\n')
    keys = [item.key for name in ("one.csv", "one.csv", "two.csv", "three.jsonl") for item in items(tmp_path / name)]
    assert keys == [*["one-000001", "one-000002"] * 2, "two-000001", "two-000002", "three-000001", "three-000002"]


def test_bad_lines_of_a_table_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Wrong column counts, undecodable bytes and stray quotes each cost one line, with its number."""
    path = tmp_path / "a.csv"
    path.write_bytes(b'id,text\n1,good\n2,too,many\n\n4,caf\xe9\n5,"a" b\n6,"two\nlines"\n8\n9,last\n')
    found = outcome(path, key="id")
    assert [line for line, _ in found] == [2, 3, 5, 6, 7, 9, 10]
    assert [text for _, text in found if not text.startswith("!")] == ["good", "two\nlines", "last"]
    reasons = [text for _, text in found if text.startswith("!")]
    assert "3 fields where 2 columns are expected: id, text" in reasons[0]
    assert "UTF-8" in reasons[1]
    assert "without quoting" in reasons[2]
    assert "1 fields where 2" in reasons[3]


def test_quotes_are_plain_text_without_quoting(tmp_path: Path) -> None:
    """A header-less table whose texts hold lone quotes, as many corpora are."""
    path = tmp_path / "sms.tsv"
    path.write_text('ham\t"Hello\nspam\tsay "yes" now\n')
    found = items(path, columns=("label", "text"), label="label", quoting=False)
    assert [(item.label, item.data["text"]) for item in found] == [("ham", '"Hello'), ("spam", 'say "yes" now')]
    assert [item.line for item in found] == [1, 2]


def test_a_quote_that_never_closes_is_one_bad_line(tmp_path: Path) -> None:
    """It is reported where it opens, and what came before is kept."""
    path = tmp_path / "a.csv"
    path.write_text('text\ngood\n"open\nnever closed\n')
    found = outcome(path)
    assert found[0] == (2, "good")
    assert found[1][0] == 3
    assert "unexpected end of data" in found[1][1]


def test_a_long_field_is_no_error(tmp_path: Path) -> None:
    """Python's csv refuses fields of more than 128 KiB; documents are longer."""
    path = tmp_path / "a.csv"
    path.write_text(f"text,more\n{'word ' * 100_000},x\n")
    assert len(items(path)[0].data["text"]) == 500_000


def test_bad_json_lines_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Broken JSON, bytes that are no UTF-8, values that are no object, keys the wire does not know."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"key": "1", "data": {"text": "good"}}\n{"key": "2", "data": {\n\n[1, 2]\n'
        b'{"key": "5", "data": {"text": "caf\xe9"}}\n{"key": "6", "data": {"text": "x"}, "labels": 1}\n'
        b'{"key": "7", "data": {"text": "last"}}'
    )
    found = outcome(path)
    assert [line for line, _ in found] == [1, 2, 4, 5, 6, 7]
    assert found[0][1] == "good"
    assert found[-1][1] == "last"
    assert ["JSON" in found[1][1], "object" in found[2][1], "JSON" in found[3][1], "labels" in found[4][1]] == [
        True
    ] * 4


def test_a_bad_element_of_an_array_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Elements count in place of lines, because an array may be written in one."""
    path = tmp_path / "a.json"
    path.write_text(' [{"text": "one"}, {"text": nope}, , 3, {"text": "five"},]')
    found = outcome(path)
    assert [place for place, _ in found] == [1, 2, 3, 4, 5, 6]
    assert [text for _, text in found if not text.startswith("!")] == ["one", "five"]


@pytest.mark.parametrize(
    "content, reason",
    [
        ('[{"a": 1}, {"a"', "middle of element 2"),
        ('[{"a": 1}]\n[{"a": 2}]', "after the end"),
        ("[", "middle of element 1"),
    ],
)
def test_an_array_that_does_not_end_right_is_an_error(tmp_path: Path, content: str, reason: str) -> None:
    """A cut-off download is not taken for the whole."""
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InvalidItems, match=reason):
        list(read_items(path))


def test_a_json_file_may_hold_lines(tmp_path: Path) -> None:
    """Many exports call JSON lines `.json`; the first character tells."""
    path = tmp_path / "a.json"
    path.write_text('{"text": "one"}\n{"text": "two"}\n')
    assert [item.data["text"] for item in items(path)] == ["one", "two"]


def test_parquet_becomes_json_values(tmp_path: Path) -> None:
    """Lists, dates and nulls become what JSON can carry; NaN and bytes cost their row."""
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "text": ["one", "two", "three", "four"],
            "vector": [[0.5, 1.5], [2.5], [float("nan")], []],
            "when": [datetime(2024, 1, 2, tzinfo=UTC), None, None, None],
            "raw": [None, None, None, b"x"],
            "y": [1, 0, 1, 0],
        }
    )
    pq.write_table(table, path)
    rows = list(read_items(path, label="y", classes={"1": "yes", "0": "no"}))
    assert rows[0] == NewItem(
        key="a-000001",
        data={"text": "one", "vector": [0.5, 1.5], "when": "2024-01-02T00:00:00+00:00", "raw": None},
        label="yes",
        line=1,
    )
    assert isinstance(rows[1], NewItem)
    assert isinstance(rows[2], InvalidLine)
    assert "'vector' is nan" in rows[2].error
    assert isinstance(rows[3], InvalidLine)
    assert "'raw' holds bytes" in rows[3].error
    assert total(path) == 4


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader is an extra; who lacks it learns its name."""
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for call in (total, lambda path: list(read_items(path))):
        with pytest.raises(InvalidItems, match=r"pip install 'labelloop\[parquet\]'"):
            call(tmp_path / "a.parquet")


def test_numpy_arrays_become_rows_or_columns(tmp_path: Path) -> None:
    """A row is one field, or a field per column; a row with NaN is reported and the rest goes on."""
    table = np.array([[1.0, 2.0], [np.nan, 0.0], [3.0, 4.0]])
    np.savez(tmp_path / "a.npz", X=table, y=np.array([1, 0, 0]))
    np.save(tmp_path / "b.npy", np.arange(12, dtype=np.uint8).reshape(3, 2, 2))
    rows = list(read_items(tmp_path / "a.npz", labels="y", spread=True, classes={"1": "rare"}))
    assert rows[0] == NewItem(key="a-000001", data={"x0": 1.0, "x1": 2.0}, label="rare", line=1)
    assert isinstance(rows[1], InvalidLine)
    assert "NaN" in rows[1].error
    assert rows[2] == NewItem(key="a-000003", data={"x0": 3.0, "x1": 4.0}, label="0", line=3)
    assert items(tmp_path / "b.npy", field="image")[1].data == {"image": [[4, 5], [6, 7]]}
    assert [total(tmp_path / name) for name in ("a.npz", "b.npy")] == [3, 3]


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    """An array of objects is a program; it is refused without running it."""
    np.savez(tmp_path / "a.npz", X=np.array([{"a": 1}], dtype=object))
    np.save(tmp_path / "b.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name in ("a.npz", "b.npy"):
        with pytest.raises(InvalidItems, match="without pickle"):
            list(read_items(tmp_path / name))


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path, ending: str) -> None:
    """A typo in `--label` is answered before anything is read."""
    path = tmp_path / f"a.{ending}"
    if ending == "csv":
        path.write_text("X,y\n1,2\n")
    elif ending == "parquet":
        pq.write_table(pa.table({"X": [1], "y": [2]}), path)
    else:
        np.savez(path, X=np.zeros((2, 2)), y=np.zeros(2))
    with pytest.raises(InvalidItems, match=r"'?lable'?.*there: '?X'?, '?y"):
        list(read_items(path, label="lable"))


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,a\n1,2\n", "occurs twice"),
        ("a.csv", "a,b\n".encode("utf-16"), "UTF-16"),
        ("a.parquet", b"PAR1nonsense", "not a Parquet file"),
        ("a.npz", b"PK\x03\x04nonsense", "cannot be read"),
        ("a.npy", b"nonsense", "cannot be read"),
        ("a.xlsx", b"x", "no reader for '.xlsx'; known: .csv"),
        ("a", b"x", "known: .csv"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """Every unreadable file is an error of ours, with its path."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidItems, match=reason) as caught:
        list(read_items(path))
    assert str(path) in caught.value.detail


def test_a_missing_file_is_an_error_for_both(tmp_path: Path) -> None:
    """Also when only its size is asked for."""
    with pytest.raises(InvalidItems, match="no such file"):
        total(tmp_path / "a.csv")
    with pytest.raises(InvalidItems, match="no such file"):
        list(read_items(tmp_path / "a.csv"))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "parquet", "npy"])
def test_progress_grows_to_the_total(tmp_path: Path, ending: str) -> None:
    """A progress bar never runs back and ends full, whatever the format counts in."""
    path = tmp_path / f"a.{ending}"
    values = [{"text": f"number {number}"} for number in range(5_000)]
    if ending == "csv":
        path.write_text("text\n" + "".join(value["text"] + "\n" for value in values))
    elif ending == "jsonl":
        path.write_text("".join(json.dumps(value) + "\n" for value in values))
    elif ending == "json":
        path.write_text(json.dumps(values))
    elif ending == "parquet":
        pq.write_table(pa.Table.from_pylist(values), path)
    else:
        np.save(path, np.zeros((5_000, 2)))
    told: list[int] = []
    assert sum(1 for _ in read_items(path, progress=told.append)) == 5_000
    assert told == sorted(told)
    assert len(told) > 1
    assert told[-1] == total(path)


def test_items_come_before_the_file_is_read(tmp_path: Path) -> None:
    """Reading streams: the first item does not wait for the last, and a late fault does not undo it."""
    path = tmp_path / "a.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps({"text": "x" * 100}) + "\n" for _ in range(50_000))
    told: list[int] = []
    reader = read_items(path, progress=told.append)
    for _ in range(1_500):
        next(reader)
    assert 0 < told[-1] < total(path) / 4
