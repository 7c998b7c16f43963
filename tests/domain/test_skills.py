"""What a skill may look like, who covers what, and how it is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.domain import skills
from labelloop.domain.errors import Invalid

TAGS = st.lists(st.from_regex(r"[a-z0-9][a-z0-9._:/+-]{0,20}", fullmatch=True), max_size=8)


@given(raw=TAGS)
def test_the_order_and_repeats_of_skills_say_nothing(raw):
    """However a set of skills is written, it is read as the same."""
    assert skills.read(raw) == skills.read([*reversed(raw), *raw]) == tuple(sorted(set(raw)))


@given(requirements=st.lists(TAGS.map(frozenset), max_size=6), carried=TAGS.map(frozenset))
def test_a_requirement_is_covered_by_who_has_all_of_it(requirements, carried):
    """Numbers count from 1; 0 stands for no requirement and is nobody's to cover."""
    covered = skills.covered(requirements, carried)
    assert 0 not in covered
    for number, asked in enumerate(requirements, start=1):
        assert (number in covered) == all(one in carried for one in asked)


@pytest.mark.parametrize(
    "raw",
    [
        "lang:de",
        {"lang": "de"},
        7,
        [7],
        [None],
        ["Lang:de"],
        ["lang de"],
        [""],
        [":de"],
        ["x" * 65],
        ["l\u00e4ng"],
        ["a\n"],
    ],
)
def test_what_is_no_skill_is_refused_with_an_example(raw):
    """Capitals too: two spellings of one skill would keep items and annotators apart for ever."""
    with pytest.raises(Invalid, match="lang:de"):
        skills.read(raw)


def test_an_item_may_not_require_too_much():
    """The bound is said."""
    with pytest.raises(Invalid, match="at most 8"):
        skills.read([f"s{at}" for at in range(9)])


def test_requirements_in_words():
    """The first ones by name, the rest counted."""
    assert skills.named([{"b", "a"}]) == "a + b"
    assert skills.named([{"a"}, {"b"}, {"c"}, {"d"}, {"e"}]) == "a, or b, or c, or one of 2 others"
