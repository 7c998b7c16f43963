"""Items that require skills: who is proposed what, in which order, and at what price; on a real server."""

from collections import Counter
from datetime import timedelta

import pytest
from orders import AUDIT, EVEN, INFORMATIVE, MINORITY, NAME, SOON, done, order, propose, state, take

from labelloop.adapters.redis import RedisQueue
from labelloop.domain.skills import MOST_REQUIREMENTS
from labelloop.domain.states import Lane

GERMAN, RADIOLOGY, BOTH = 1, 2, 3
LATER = SOON + timedelta(seconds=1)


@pytest.fixture
def queue(redis_connection):
    return RedisQueue(redis_connection)


def load(queue, items, requires, *, version=1, slots=(), needed=1):
    queue.load(NAME, version, {INFORMATIVE: order(items, needed=needed, requires=requires)}, slots, EVEN)


def test_an_item_comes_to_those_who_cover_what_it_requires(queue):
    """Others get what requires nothing; nobody is proposed what he does not cover."""
    load(queue, [1, 2, 3, 4], {1: GERMAN, 2: RADIOLOGY, 3: BOTH})
    assert take(queue, "ada", 9) == [4]
    assert take(queue, "ben", 9, covers=[RADIOLOGY]) == [2]
    assert take(queue, "cy", 9, covers=[GERMAN, RADIOLOGY, BOTH]) == [1, 3]


def test_the_planned_order_holds_across_requirements(queue):
    """Who covers several gets the lowest rank of all he covers, as if nothing were required."""
    requires = {item: item % 4 for item in range(40)}
    load(queue, list(reversed(range(40))), requires)
    assert take(queue, "ada", 7, covers=[GERMAN, RADIOLOGY, BOTH]) == list(reversed(range(33, 40)))
    assert take(queue, "ben", 4, covers=[GERMAN]) == [32, 29, 28, 25]
    assert take(queue, "cy", 3, covers=[GERMAN, RADIOLOGY, BOTH]) == [31, 30, 27]


def test_started_items_come_before_fresh_ones_whatever_they_require(queue):
    """What waits for its next vote is served by rank among the requirements covered, then what is untouched."""
    load(queue, [1, 2, 3, 4, 5], {2: GERMAN, 3: RADIOLOGY, 4: GERMAN}, needed=2)
    assert take(queue, "ada", 4, covers=[GERMAN, RADIOLOGY]) == [1, 2, 3, 4]
    assert take(queue, "ben", 9) == [1, 5]
    assert take(queue, "cy", 9, covers=[GERMAN]) == [2, 4, 5]
    assert take(queue, "di", 9, covers=[RADIOLOGY]) == [3]


def test_lanes_keep_their_shares_among_what_is_covered(queue):
    """A lane in which nothing is covered gives its turn to the next; those that have something keep their shares."""
    requires = dict.fromkeys(range(300), GERMAN)
    lanes = {
        lane: order(range(start, start + 200), lane, requires=requires)
        for lane, start in ((INFORMATIVE, 0), (MINORITY, 200), (AUDIT, 400))
    }
    queue.load(NAME, 1, lanes, [], {INFORMATIVE: 0.5, MINORITY: 0.3, AUDIT: 0.2})
    served = Counter(one.lane for one in propose(queue, NAME, "ada", 100, expires_at=SOON))
    assert served == {MINORITY: 60, AUDIT: 40}
    served = Counter(one.lane for one in propose(queue, NAME, "ben", 100, expires_at=SOON, covers=[GERMAN]))
    assert served == {INFORMATIVE: 50, MINORITY: 30, AUDIT: 20}


def test_what_comes_back_still_requires_it(queue):
    """Released, skipped and expired items, and those with one more vote to get, keep what they require."""
    load(queue, [1, 2, 3, 4], dict.fromkeys(range(5), GERMAN), needed=2)
    assert take(queue, "ada", 4, covers=[GERMAN]) == [1, 2, 3, 4]
    queue.put_back(NAME, "ada", [1], skip=False)
    queue.put_back(NAME, "ada", [2], skip=True)
    done(queue, NAME, "ada", [3])
    queue.reap(NAME, LATER)
    assert take(queue, "ben", 9) == []
    assert sorted(take(queue, "cy", 9, covers=[GERMAN])) == [1, 2, 3, 4]


def test_a_priority_stays_within_what_is_covered(queue):
    """An item put first is the next one of those who cover it, and nobody else's."""
    load(queue, [1, 2, 3], {2: GERMAN, 3: GERMAN})
    assert queue.prioritize(NAME, [3], 1) == 1
    assert take(queue, "ada", 9) == [1]
    assert take(queue, "ben", 9, covers=[GERMAN]) == [3, 2]


def test_a_new_order_keeps_what_items_require(queue):
    """Over a swap, also into another lane, and for items that are held meanwhile."""
    requires = {1: GERMAN, 2: GERMAN, 3: RADIOLOGY}
    load(queue, [1, 2, 3, 4], requires, needed=2)
    done(queue, NAME, "ada", take(queue, "ada", 1, covers=[GERMAN]))
    lanes = {INFORMATIVE: order([3, 2], needed=2, requires=requires), AUDIT: order([1], AUDIT, 2, requires)}
    queue.load(NAME, 2, lanes, [state(1, needed=2, done=1, out=["ada"], requires=GERMAN)], EVEN)
    assert take(queue, "ben", 9) == []
    assert take(queue, "cy", 9, covers=[RADIOLOGY]) == [3]
    served = propose(queue, NAME, "di", 9, expires_at=SOON, covers=[GERMAN])
    assert [(one.item, one.lane) for one in served] == [(2, INFORMATIVE), (1, AUDIT)]


def test_disputed_items_go_to_reviewers_who_cover_them(queue):
    """The review lane obeys, too, and a sync finds nothing to change the second time."""
    assert queue.sync(NAME, [], {1: 0, 2: GERMAN, 3: RADIOLOGY}) == 3
    assert queue.sync(NAME, [], {1: 0, 2: GERMAN, 3: RADIOLOGY}) == 0
    assert take(queue, "rev", 9, review=True) == [1]
    assert take(queue, "rex", 9, review=True, covers=[GERMAN]) == [2]
    queue.put_back(NAME, "rex", [2], skip=True)
    assert take(queue, "roy", 9, review=True, covers=[GERMAN]) == [2]
    assert queue.sync(NAME, [], {1: 0, 2: GERMAN}) == 1
    assert take(queue, "ray", 9, review=True, covers=[RADIOLOGY]) == []


def test_a_rebuild_knows_what_items_require(queue):
    """After Redis lost everything, items with a history come back to those who cover them."""
    requires = dict.fromkeys((1, 2, 9), GERMAN)
    load(queue, [1, 2, 3], requires)
    queue.forget(NAME)
    slots = [state(1, needed=2, done=1, out=["eve"], requires=GERMAN), state(9, needed=2, done=1, requires=GERMAN)]
    load(queue, [1, 2, 3], requires, slots=slots)
    assert take(queue, "ada", 9) == [3]
    assert sorted(take(queue, "ben", 9, covers=[GERMAN])) == [1, 2, 9]


@pytest.mark.parametrize("known", [0, RADIOLOGY])
def test_a_refusal_sets_right_what_an_item_requires(queue, known):
    """When Redis was wrong about it, SQL's word moves the item, and the same annotator is not offered it again."""
    load(queue, [1, 2], {1: known})
    assert take(queue, "ada", 1, covers=[RADIOLOGY]) == [1]
    queue.drop(NAME, "ada", [state(1, requires=GERMAN)])
    assert take(queue, "ada", 9, covers=[RADIOLOGY]) == [2]
    assert take(queue, "ben", 9, covers=[GERMAN]) == [1]


def test_depth_counts_by_requirement(queue):
    """What waits is told per requirement and lane, and their sum per lane."""
    queue.load(NAME, 1, {INFORMATIVE: order([1, 2, 3], requires={1: GERMAN, 2: BOTH})}, [], EVEN)
    queue.sync(NAME, [], {9: GERMAN})
    depth = queue.depth_by_requirement(NAME)
    assert {one: lanes[INFORMATIVE] for one, lanes in depth.items()} == {0: 1, GERMAN: 1, RADIOLOGY: 0, BOTH: 1}
    assert depth[GERMAN][Lane.REVIEW] == 1
    assert queue.depth(NAME) == {INFORMATIVE: 3, MINORITY: 0, AUDIT: 0, Lane.REVIEW: 1}


def test_forgetting_leaves_no_key_of_any_requirement(queue, redis_connection):
    """A swap and a forget take the keys of every requirement along."""
    requires = {1: GERMAN, 2: MOST_REQUIREMENTS}
    load(queue, [1, 2, 3], requires, needed=2)
    load(queue, [3, 2, 1], requires, version=2, needed=2)
    assert len(redis_connection.keys("*:lane:*")) == 3
    assert take(queue, "ada", 9, covers=[GERMAN, MOST_REQUIREMENTS]) == [3, 2, 1]
    queue.forget(NAME)
    assert redis_connection.keys("labelloop:{birds}:*") == []


def commands(connection):
    """Commands the server has run so far, those inside scripts included."""
    return sum(one["calls"] for one in connection.info("commandstats").values())


def test_what_is_not_covered_is_not_looked_at(redis_connection):
    """In front of 100,000 items that all require a skill, somebody without any is answered in a few steps."""
    queue = RedisQueue(redis_connection)
    requires = dict.fromkeys(range(100_000), GERMAN)
    lanes = {
        lane: order(range(start, start + 50_000), lane, 2, requires)
        for lane, start in ((INFORMATIVE, 0), (AUDIT, 50_000))
    }
    queue.load(NAME, 1, lanes, [], EVEN)
    slots = [state(item, needed=2, done=1, out=["eve"], requires=GERMAN) for item in range(50_000, 52_000)]
    queue.sync(NAME, slots, {})
    before = commands(redis_connection)
    assert take(queue, "ada", 100, covers=[RADIOLOGY]) == []
    assert commands(redis_connection) - before < 30


def test_nobody_starves_behind_a_long_line_of_another_requirement(redis_connection):
    """Started items of one requirement that an annotator has done share the scan with those of another."""
    queue = RedisQueue(redis_connection, scan=10, page=4)
    requires = dict.fromkeys(range(200), GERMAN) | {500: RADIOLOGY, 501: 0}
    slots = [state(item, needed=2, done=1, out=["ada"], requires=GERMAN) for item in range(200)]
    slots += [state(500, needed=2, done=1, requires=RADIOLOGY), state(501, needed=2, done=1)]
    load(queue, requires, requires, slots=slots, needed=2)
    assert sorted(take(queue, "ada", 9, covers=[GERMAN, RADIOLOGY])) == [500, 501]


def test_who_covers_everything_pays_a_bounded_price(redis_connection):
    """With as many requirements as a project may have, a pull costs a few steps for each, however many items wait."""
    queue = RedisQueue(redis_connection)
    every = range(1, MOST_REQUIREMENTS + 1)
    requires = {item: item % (MOST_REQUIREMENTS + 1) for item in range(5_000)}
    load(queue, range(5_000), requires)
    before = commands(redis_connection)
    assert take(queue, "ada", 10, covers=every) == list(range(10))
    assert commands(redis_connection) - before < 4 * MOST_REQUIREMENTS
