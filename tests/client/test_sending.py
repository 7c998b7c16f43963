"""What goes in of items that notebooks make: numbers of numpy, gaps of pandas, and values that JSON does not have."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from serving import Service, project_file

from labelloop.client import Client, ClientError
from labelloop.client.sending import MOST_NAMED
from labelloop.domain.states import Role


@pytest.fixture
def admin(service: Service) -> Iterator[Client]:
    """A client that may do everything."""
    with Client(service.url, service.key(Role.ADMIN), patience=5) as found:
        yield found


def _item(key: Any, **data: Any) -> dict[str, Any]:
    return {"key": key, "data": {"text": f"Report {key}", **data}}


def _data(service: Service, project: str, key: str) -> Any:
    """The data of an item as the service keeps it."""
    item = service.ports.pool.find(project, key)
    assert item is not None
    return item.data


def test_numbers_of_numpy_arrive_as_numbers(service: Service, admin: Client) -> None:
    """Scalars, arrays, keys and metadata; what is kept is what was meant."""
    name = admin.create_project(project_file("numpy"))
    values = {
        "f32": np.float32(0.5),
        "f64": np.float64(0.25),
        "i": np.int64(7),
        "yes": np.bool_(True),
        "word": np.str_("x"),
        "row": np.arange(3, dtype=np.float32),
        "table": np.ones((2, 2), dtype=np.int8),
        "mixed": np.array([np.int64(1), "a", None], dtype=object),
        "view": MappingProxyType({"a": np.uint8(1)}),
    }
    report = admin.ingest(name, [_item("a", **values), {**_item(np.int64(12)), "metadata": {"score": np.float32(1)}}])
    assert (report.added, report.invalid) == (2, ())
    assert {field: value for field, value in _data(service, name, "a").items() if field != "text"} == {
        "f32": 0.5,
        "f64": 0.25,
        "i": 7,
        "yes": True,
        "word": "x",
        "row": [0.0, 1.0, 2.0],
        "table": [[1, 1], [1, 1]],
        "mixed": [1, "a", None],
        "view": {"a": 1},
    }
    assert service.ports.pool.find(name, "12") is not None


def test_an_item_that_cannot_be_json_comes_back_with_its_line_and_the_rest_goes_in(admin: Client) -> None:
    """Each names its line, its item, its field and what is wrong with it; bad ones of the service stand among them."""
    name = admin.create_project(project_file("no-json"))
    loop: list[Any] = []
    loop.append(loop)
    items: list[Any] = [
        _item("a"),
        _item("nan", score=float("nan")),
        _item("f32", row=np.array([1, np.inf], dtype=np.float32)),
        {"key": ""},
        _item("date", at=datetime(2026, 1, 1, tzinfo=UTC)),
        _item("day", at=np.datetime64("2026-01-01", "ns")),
        _item("half", text="\ud800"),
        _item("loop", loop=loop),
        {**_item("label"), "label": float("nan")},
        {**_item("names"), ("two", "parts"): 1},
        float("nan"),
        _item("z"),
    ]
    for given in (items, iter(items)):
        report = admin.ingest(name, given)
        assert (report.received, report.added + report.duplicates) == (12, 2)
        wrong = {one["line"]: one["error"] for one in report.invalid}
        assert list(wrong) == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
        assert wrong[2] == "item 'nan': field 'score' holds NaN or infinity; fill or leave out what is not known"
        assert wrong[3].startswith("item 'f32': field 'row' holds NaN or infinity")
        assert "`key` must be text" in wrong[4]
        assert "item 'date': field 'at' cannot be JSON: a value of the type datetime; send text" in wrong[5]
        assert "of the type datetime64" in wrong[6]
        assert "field 'text' holds half a character" in wrong[7]
        assert "field 'loop' cannot be JSON: it holds itself" in wrong[8]
        assert "item 'label': `label` holds NaN" in wrong[9]
        assert "keys must be str" in wrong[10]
        assert "an item must be an object" in wrong[11]


def test_records_of_a_table_with_gaps_go_in_but_for_the_gaps(service: Service, admin: Client) -> None:
    """`to_dict("records")` of pandas: a gap is NaN, and its row comes back; filled or left out, it goes in."""
    pandas = pytest.importorskip("pandas")
    name = admin.create_project(project_file("table"))
    table = pandas.DataFrame({"text": ["one", "two", "three"], "age": [31.0, None, 5.0], "n": [1, 2, 3]})
    items = [{"key": f"r{at}", "data": row} for at, row in enumerate(table.to_dict("records"))]
    report = admin.ingest(name, items)
    assert (report.received, report.added) == (3, 2)
    assert [(one["line"], "field 'age'" in one["error"]) for one in report.invalid] == [(2, True)]
    assert dict(_data(service, name, "r0")) == {"text": "one", "age": 31.0, "n": 1}
    filled = [{"key": f"r{at}", "data": row} for at, row in enumerate(table.fillna(0).to_dict("records"))]
    assert admin.ingest(name, filled).added == 1


def test_bad_items_beyond_what_is_named_are_counted(admin: Client) -> None:
    """A report stays short, its counts hold; a pool of nothing but bad ones is an answer, too."""
    name = admin.create_project(project_file("many-bad"))
    report = admin.ingest(name, (_item(at, x=float("nan")) for at in range(MOST_NAMED + 5)))
    assert (report.received, report.added, len(report.invalid)) == (MOST_NAMED + 5, 0, MOST_NAMED)
    assert report.invalid[-1]["line"] == MOST_NAMED


def test_other_calls_take_numbers_of_numpy_and_refuse_what_is_no_json(service: Service) -> None:
    """Seconds from an array are seconds; NaN is our error, said before anything is sent."""
    name = service.project(items=2)
    with Client(service.url, service.key(), patience=5) as found:
        lease = found.lease(name, np.int64(1))[0].lease
        for seconds in (float("nan"), json):
            with pytest.raises(ClientError, match="The body of the call") as caught:
                found.annotate(name, [{"lease": lease, "label": "good", "seconds": seconds}])
            assert caught.value.slug == "not-sendable"
        assert found.annotate(name, [{"lease": lease, "label": "good", "seconds": np.float32(1.5)}])[0].item is not None
