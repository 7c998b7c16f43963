"""Answers against the schema of a project."""

import pytest

from labelloop import projects, schema
from labelloop.domain.errors import Invalid, InvalidProject
from labelloop.domain.types import LeaseId

CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Choices name="topic" toName="text"><Choice value="sport"/><Choice value="news" alias="n"/></Choices>
  <Labels name="spans" toName="text"><Label value="PER"/></Labels>
</View>"""


def rules(labels):
    return schema.of(projects.parse({"name": "p", "labels": labels, "features": {"kind": "text"}}))


PLAIN = rules({"kind": "classes", "classes": ["cat", "dog"]})
STUDIO = rules({"kind": "label_studio", "config": CONFIG})


def answer(schema_, **raw):
    return schema_.answer(raw, LeaseId(7))


def test_a_class_is_taken():
    """A label of the schema becomes the value of the vote."""
    read = answer(PLAIN, lease="7", label="dog", seconds=1.5, comment="sure")
    assert (read.lease, read.value, read.label, read.seconds, read.comment) == (7, "dog", "dog", 1.5, "sure")


@pytest.mark.parametrize(
    "raw,part",
    [
        ({"label": "cow"}, "not in the schema; classes: cat, dog"),
        ({"label": 3}, "not in the schema"),
        ({}, "either `label`"),
        ({"label": "cat", "result": []}, "either `label`"),
        ({"result": [{}]}, "plain classes"),
        ({"label": "cat", "seconds": -1}, "seconds"),
        ({"label": "cat", "seconds": True}, "seconds"),
        ({"label": "cat", "seconds": float("nan")}, "seconds"),
        ({"label": "cat", "comment": 5}, "comment"),
        ({"label": "cat", "lable": "dog"}, "unknown keys ['lable']"),
    ],
)
def test_a_wrong_answer_is_refused_with_the_reason(raw, part):
    """Each mistake names what would be right."""
    with pytest.raises(Invalid) as caught:
        answer(PLAIN, **raw)
    assert part in caught.value.detail


def region(name="topic", kind="choices", **value):
    return {"id": "x1", "from_name": name, "to_name": "text", "type": kind, "value": value, "origin": "manual"}


def test_a_label_studio_result_gives_its_class_and_is_kept():
    """One choice is the label; the result stays as it came."""
    result = [region(choices=["sport"])]
    read = answer(STUDIO, result=result)
    assert (read.label, read.value, read.result) == ("sport", "sport", result)
    assert STUDIO.classes == ("sport", "n")


def test_equal_results_have_equal_values_whatever_ids_the_editor_made_up():
    """Votes on spans are compared by content."""
    one = answer(STUDIO, result=[region("spans", "labels", start=0, end=3, labels=["PER"])])
    other = answer(STUDIO, result=[region("spans", "labels", start=0, end=3, labels=["PER"]) | {"id": "zz"}])
    third = answer(STUDIO, result=[region("spans", "labels", start=0, end=4, labels=["PER"])])
    assert one.value == other.value != third.value
    assert one.label is None


@pytest.mark.parametrize(
    "result,part",
    [
        ("text", "list of regions"),
        ([region("topik", choices=["sport"])], "no control 'topik'; controls: topic, spans"),
        ([region(choices=["cow"])], "not in the schema"),
        ([region(choices="sport")], "must be a list"),
        ([{"from_name": "topic", "value": 3}], "`value` must be an object"),
    ],
)
def test_a_wrong_result_is_refused_with_its_place(result, part):
    """The region and the known controls are named."""
    with pytest.raises(Invalid) as caught:
        answer(STUDIO, result=result)
    assert part in caught.value.detail


@pytest.mark.parametrize(
    "config",
    [
        "not xml",
        "<View/>",
        "<!DOCTYPE v [<!ENTITY a 'b'>]><View><Choices name='c' toName='t'><Choice value='&a;'/></Choices></View>",
        "<View><Choices name='c' toName='t'><Choice value='x'/><Choice value='x'/></Choices></View>",
    ],
)
def test_a_broken_or_hostile_configuration_is_refused(config):
    """No entities, no missing controls, no duplicate choices."""
    with pytest.raises(InvalidProject):
        rules({"kind": "label_studio", "config": config})
