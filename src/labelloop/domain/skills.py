"""Skills: what a key carries and an item may require. Which of them meet is decided here, on plain values.

A *requirement* is a set of skills that an item requires, all of them. A project has few different ones; they are
numbered from 1 in order of arrival and never change, so that the queue needs one byte per item to know its own.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from labelloop.domain.errors import Invalid

Skills = frozenset[str]

MOST = 8
"""Skills that one item may require."""
MOST_CARRIED = 256
"""Skills that one key may carry."""
MOST_REQUIREMENTS = 250
"""Different requirements that a project may have: they fit a byte, and bound what a pull looks at."""
LONGEST = 64
NAMED = 3
"""Requirements that a sentence names; more are counted."""

PATTERN = r"[a-z0-9][a-z0-9._:/+-]*"


def read(raw: Any, *, most: int = MOST) -> tuple[str, ...]:
    """A list of skills as it came, sorted, each once.

    Raises:
        Invalid: says what is wrong with it. Capitals are refused rather than folded: two spellings of one skill would
            keep items and annotators apart for ever.
    """
    if not isinstance(raw, list | tuple | set | frozenset) or not all(isinstance(one, str) for one in raw):
        raise Invalid('skills are a list of short texts, such as ["lang:de", "skill:radiology"]')
    for one in raw:
        if len(one) > LONGEST or not re.fullmatch(PATTERN, one):
            raise Invalid(
                f"{one[:LONGEST]!r} is no skill: write 1 to {LONGEST} of a-z, 0-9 and ._:/+- (no capitals or blanks), "
                'such as "lang:de"'
            )
    found = tuple(sorted(set(raw)))
    if len(found) > most:
        raise Invalid(f"{len(found)} skills are too many; name at most {most}")
    return found


def covered(requirements: Sequence[Skills], carried: Skills) -> tuple[int, ...]:
    """The numbers of the requirements that somebody who carries these skills fulfils."""
    return tuple(number for number, asked in enumerate(requirements, start=1) if asked <= carried)


def named(requirements: Iterable[Iterable[str]]) -> str:
    """Requirements in words: `lang:de + skill:radiology, or lang:fr`."""
    told = [" + ".join(sorted(one)) for one in requirements]
    rest = len(told) - NAMED
    return ", or ".join(told[:NAMED]) + (f", or one of {rest} others" if rest > 0 else "")
