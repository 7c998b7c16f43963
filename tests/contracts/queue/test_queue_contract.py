"""What the loop relies on in ports.Queue and ports.QueueHealth, on a real server."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from orders import AUDIT, EVEN, INFORMATIVE, MINORITY, NAME, SOON, done, order, propose, state, take

from labelloop.adapters.redis import RedisLock, RedisQueue, connect
from labelloop.adapters.redis.build import Builder
from labelloop.adapters.redis.scripts import Scripts
from labelloop.domain.errors import Unavailable
from labelloop.domain.states import Lane

LATER = SOON + timedelta(seconds=1)


@pytest.fixture
def queue(redis_connection):
    return RedisQueue(redis_connection)


def load(queue, items, *, version=1, slots=(), needed=1):
    queue.load(NAME, version, {INFORMATIVE: order(items, needed=needed)}, slots, EVEN)


# --- order and shares --------------------------------------------------------------------------------------


def test_items_are_served_in_the_planned_order(queue):
    """Rank decides, neither the item's number nor the order of arrival."""
    load(queue, [5, 3, 9, 1])
    assert take(queue, "ada", 2) + take(queue, "ben", 2) == [5, 3, 9, 1]


def test_an_empty_queue_proposes_nothing(queue):
    """Before the first round, and with a count of 0, nobody gets anything."""
    assert take(queue, "ada", 3) == []
    load(queue, [1])
    assert take(queue, "ada", 0) == []
    assert take(queue, "ada", 9) == [1]
    assert take(queue, "ada", 9) == []


@pytest.mark.parametrize("batch", [1, 7])
def test_lanes_get_their_exact_shares(queue, batch):
    """Of every hundred items, pulled singly or in batches, the shares hold to the item, and never stray far between."""
    shares = {INFORMATIVE: 0.7, MINORITY: 0.2, AUDIT: 0.1}
    lanes = {
        lane: order(range(start, start + 300), lane)
        for lane, start in ((INFORMATIVE, 0), (MINORITY, 300), (AUDIT, 600))
    }
    queue.load(NAME, 1, lanes, [], shares)
    served = []
    while len(served) < 210:
        served += [one.lane for one in propose(queue, NAME, f"who{len(served) % 5}", batch, expires_at=SOON)]
        seen = Counter(served)
        assert all(abs(seen[lane] - share * len(served)) < 1 for lane, share in shares.items())
    assert Counter(served[:100]) == {INFORMATIVE: 70, MINORITY: 20, AUDIT: 10}


def test_small_batches_keep_shares_that_change_with_every_round(queue):
    """What a lane is owed outlives a new round: a tenth in batches of five is a tenth, whatever the shares wobble."""
    lanes = {
        lane: order(range(start, start + 300), lane)
        for lane, start in ((INFORMATIVE, 0), (MINORITY, 300), (AUDIT, 600))
    }
    served = Counter()
    for version in range(1, 31):
        minority = 0.80 + 0.02 * (version % 2)
        queue.load(NAME, version, lanes, [], {INFORMATIVE: 0.9 - minority, MINORITY: minority, AUDIT: 0.1})
        served.update(one.lane for one in propose(queue, NAME, f"who{version}", 5, expires_at=SOON))
    assert served[AUDIT] == pytest.approx(15, abs=1)
    assert served[INFORMATIVE] == pytest.approx(13.5, abs=1)


def test_a_lane_that_lost_its_share_is_owed_nothing(queue):
    """It is served when the others are dry, and begins anew when it has a share again."""
    lanes = {INFORMATIVE: order(range(50)), MINORITY: order(range(100, 150), MINORITY)}
    queue.load(NAME, 1, lanes, [], {INFORMATIVE: 0.4, MINORITY: 0.6})
    take(queue, "ada", 1)
    queue.load(NAME, 2, lanes, [], {INFORMATIVE: 1.0})
    assert all(number < 100 for number in take(queue, "ben", 20))


def test_a_dry_lane_gives_its_turn_to_the_next(queue):
    """Nobody waits while any lane has items, one without a share included."""
    lanes = {INFORMATIVE: order([1, 2]), MINORITY: order([11], MINORITY), AUDIT: order([21, 22, 23], AUDIT)}
    queue.load(NAME, 1, lanes, [], {INFORMATIVE: 0.5, MINORITY: 0.5})
    assert sorted(take(queue, "ada", 3)) == [1, 2, 11]
    assert take(queue, "ben", 10) == [21, 22, 23]


def test_started_items_come_before_fresh_ones_of_their_lane(queue):
    """An item that waits for its second vote is finished before a new one is begun."""
    load(queue, [1, 2, 3], needed=2)
    assert take(queue, "ada", 2) == [1, 2]
    assert take(queue, "ben", 3) == [1, 2, 3]


def test_every_lane_tells_its_depth(queue):
    """Depth counts what waits: untouched and started items with an open slot, and disputed ones."""
    queue.load(NAME, 1, {INFORMATIVE: order([1, 2, 3], needed=2), AUDIT: order([9], AUDIT)}, [], EVEN)
    take(queue, "ada", 1)
    queue.sync(NAME, [], {50: 0, 51: 0})
    assert queue.depth(NAME) == {INFORMATIVE: 3, MINORITY: 0, AUDIT: 1, Lane.REVIEW: 2}


# --- who may get what --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lane", "rank", "needed", "done", "live", "out", 'a"b', "ada"])
def test_any_name_gets_a_started_item(queue, name):
    """A name is looked for in the records of started items; what else is written there is no name."""
    load(queue, [1, 2, 3], needed=2)
    assert take(queue, "ben", 3) == [1, 2, 3]
    assert take(queue, name, 3) == [1, 2, 3]
    assert take(queue, name, 3) == []


def test_nobody_gets_an_item_twice(queue):
    """Held, answered and skipped items never come to the same annotator again, whatever order is loaded."""
    load(queue, [1, 2, 3], needed=3)
    assert take(queue, "ada", 3) == [1, 2, 3]
    done(queue, NAME, "ada", [1])
    queue.put_back(NAME, "ada", [2], skip=True)
    assert take(queue, "ada", 9) == []
    load(queue, [3, 2, 1], version=2, needed=3)
    assert take(queue, "ada", 9) == []
    assert take(queue, "ben", 9) == [3, 2, 1]


def test_a_released_item_may_come_to_anyone_again(queue):
    """A release leaves no trace: the item is back at its rank, for its former holder too."""
    load(queue, [1, 2])
    take(queue, "ada", 1)
    queue.put_back(NAME, "ada", [1], skip=False)
    assert take(queue, "ada", 2) == [1, 2]


def test_a_finished_item_is_over(queue):
    """With its votes complete, an item is not served again, not even from an order that still names it."""
    load(queue, [1, 2])
    take(queue, "ada", 1)
    done(queue, NAME, "ada", [1])
    load(queue, [1, 2], version=2)
    assert take(queue, "ben", 9) == [2]
    assert queue.depth(NAME)[INFORMATIVE] == 0


def test_a_late_answer_uses_up_the_slot(queue):
    """An answer that was counted after its lease was over closes the item, though it waits in its lane again."""
    load(queue, [1, 2])
    take(queue, "ada", 1)
    assert queue.reap(NAME, LATER) == 1
    done(queue, NAME, "ada", [1])
    assert take(queue, "ben", 9) == [2]


def test_telling_twice_counts_once(queue):
    """A repeated message after a crash uses up no second slot."""
    load(queue, [1], needed=2)
    take(queue, "ada", 1)
    done(queue, NAME, "ada", [1])
    done(queue, NAME, "ada", [1])
    assert take(queue, "ben", 1) == [1]


def test_an_unknown_item_is_no_error(queue):
    """Messages about items that Redis has lost are ignored."""
    done(queue, NAME, "ada", [7])
    queue.put_back(NAME, "ada", [7], skip=True)
    queue.renew(NAME, "ada", [7], SOON)
    assert queue.reap(NAME, LATER) == 0


@pytest.mark.parametrize("who", ["ada lovelace", 'a"b\\c', "ünal/ö", "12 3", '":', "a\nb", "%d+"])
def test_any_name_will_do(queue, who):
    """Names with blanks, quotes and the like hold, expire and stay excluded like others."""
    load(queue, [1, 2], needed=2)
    assert take(queue, who, 2) == [1, 2]
    assert queue.reap(NAME, LATER) == 2
    assert take(queue, who, 1) == [1]
    done(queue, NAME, who, [1])
    assert take(queue, who, 9) == [2]
    assert take(queue, who + "x", 9) == [1, 2]


def test_nobody_starves_behind_a_long_line(redis_connection):
    """An annotator who has done hundreds of started items still gets the one behind them."""
    queue = RedisQueue(redis_connection, scan=10, page=4)
    out = [state(item, needed=2, done=1, out=["ada"]) for item in range(50)]
    queue.load(
        NAME, 1, {INFORMATIVE: order(range(60), needed=2)}, [*out, state(55, needed=2, done=1, out=["ben"])], EVEN
    )
    served = [item for _ in range(8) for item in take(queue, "ada", 1)]
    assert 55 in served


def test_a_pull_looks_at_few_stale_entries(redis_connection):
    """An order whose items are all over costs each call a bounded scan, and the first live item is reached."""
    queue = RedisQueue(redis_connection, scan=10)
    load(queue, range(36))
    load(queue, [], version=2, slots=[state(item, done=1, out=["eve"]) for item in range(35)])
    build = redis_connection.hget("labelloop:{birds}:cfg", "build")
    redis_connection.zadd(f"labelloop:{{birds}}:lane:informative:{build}", {i: i * 16 + 1 for i in range(36)})
    assert [take(queue, "ada", 1) for _ in range(4)] == [[], [], [], [35]]


# --- leases ------------------------------------------------------------------------------------------------


def test_an_expired_lease_comes_back(queue):
    """When its time is over, not before, an item returns to its rank."""
    load(queue, [1, 2])
    take(queue, "ada", 1)
    assert queue.reap(NAME, SOON - timedelta(milliseconds=1)) == 0
    assert queue.reap(NAME, SOON) == 1
    assert take(queue, "ben", 1) == [1]


def test_a_renewed_lease_stays(queue):
    """Renewing moves the expiry; a lease that is over cannot be renewed back."""
    load(queue, [1, 2])
    take(queue, "ada", 2)
    queue.renew(NAME, "ada", [1], LATER + timedelta(hours=1))
    assert queue.reap(NAME, LATER) == 1
    queue.renew(NAME, "ada", [2], LATER + timedelta(hours=1))
    assert take(queue, "ben", 9) == [2]


def test_a_thousand_leases_are_reaped(queue):
    """However many ran out, one call puts all of them back."""
    load(queue, range(1000))
    assert len(take(queue, "ada", 1000)) == 1000
    assert queue.reap(NAME, LATER) == 1000
    assert take(queue, "ben", 1000) == list(range(1000))


# --- loading -----------------------------------------------------------------------------------------------


def test_an_older_version_is_ignored(queue):
    """A slow planner cannot bring an old ranking back."""
    load(queue, [1, 2], version=5)
    load(queue, [2, 1], version=4)
    assert queue.serving(NAME) == 5
    assert take(queue, "ada", 2) == [1, 2]


def test_a_swap_replaces_the_order_and_leaves_leases_alone(queue):
    """What the new order does not name is gone; what somebody holds stays his, and returns at its new rank."""
    load(queue, [1, 2, 3, 4])
    assert take(queue, "ada", 1) == [1]
    load(queue, [4, 1, 3], version=2)
    assert queue.serving(NAME) == 2
    assert take(queue, "ben", 9) == [4, 3]
    queue.put_back(NAME, "ada", [1], skip=False)
    queue.put_back(NAME, "ben", [4, 3], skip=False)
    assert take(queue, "cy", 9) == [4, 1, 3]


def test_started_items_follow_the_new_order(queue):
    """Items that wait for their next vote take lane and rank from the order that names them now."""
    load(queue, [1, 2, 3], needed=2)
    done(queue, NAME, "ada", take(queue, "ada", 3))
    lanes = {INFORMATIVE: order([7, 3, 1], needed=2), AUDIT: order([2], AUDIT, needed=2)}
    queue.load(NAME, 2, lanes, [], EVEN)
    served = propose(queue, NAME, "ben", 4, expires_at=SOON)
    assert [(one.item, one.lane) for one in served] == [
        (3, INFORMATIVE),
        (1, INFORMATIVE),
        (7, INFORMATIVE),
        (2, AUDIT),
    ]


def test_a_planner_that_died_after_its_swap_did_its_work(queue, monkeypatch):
    """Held items that were not yet told their place in the new order find it when their turn comes."""
    load(queue, [1, 2])
    assert take(queue, "ada", 1) == [1]
    monkeypatch.setattr(Builder, "adopt", lambda *_: None)
    queue.load(NAME, 2, {AUDIT: order([1, 9], AUDIT)}, [], EVEN)
    assert take(queue, "ben", 5) == [9]
    queue.put_back(NAME, "ada", [1], skip=False)
    assert [(one.item, one.lane) for one in propose(queue, NAME, "cy", 5, expires_at=SOON)] == [(1, AUDIT)]


def test_a_build_that_was_overtaken_is_thrown_away(queue, redis_connection):
    """Of two planners at work at once the newer wins, though the older comes to its swap last."""
    load(queue, [1, 2], version=5)
    late = Builder(redis_connection, Scripts(redis_connection))
    assert not late.load(NAME, 4, lanes={INFORMATIVE: order([2, 1])}, slots=[], shares=EVEN)
    assert len(redis_connection.keys("*:lane:*")) == 1
    assert take(queue, "ada", 2) == [1, 2]


def test_swapping_while_serving_loses_nothing_and_serves_nothing_twice(queue, redis_url):
    """Annotators at work while one old order after the other is swapped in answer every item exactly once."""
    items = list(range(300))
    load(queue, items)
    answered = []

    def annotate(who):
        mine = RedisQueue(connect(redis_url))
        while batch := take(mine, who, 3):
            answered.extend(batch)
            done(mine, NAME, who, batch)

    with ThreadPoolExecutor() as pool:
        people = [pool.submit(annotate, who) for who in ("ada", "ben", "cy")]
        version = 1
        while not all(one.done() for one in people):
            version += 1
            load(queue, random.Random(version).sample(items, len(items)), version=version)
        for one in people:
            one.result()
    assert sorted(answered + take(queue, "di", 300)) == items


def test_loading_the_same_version_again_repairs_it(queue):
    """A rebuild of the serving round serves each of its items once."""
    load(queue, [1, 2, 3])
    take(queue, "ada", 1)
    load(queue, [1, 2, 3])
    assert take(queue, "ben", 9) == [2, 3]


def test_a_rebuild_knows_what_sql_knows(queue):
    """After Redis lost everything, votes, leases and exclusions are those of SQL."""
    slots = [
        state(1, needed=2, done=1, out=["ada"]),
        state(2, needed=2, live=["ada", "ben"]),
        state(3, needed=2, out=["ben"]),
        state(4, needed=2, done=2, out=["cy", "di"]),
        state(9, needed=2, done=1, out=["cy"]),
    ]
    load(queue, [1, 2, 3, 4, 5], slots=slots, needed=2)
    assert sorted(take(queue, "ada", 9)) == [3, 5, 9]
    assert sorted(take(queue, "ben", 9)) == [1, 5]
    assert queue.reap(NAME, LATER) == 7
    assert sorted(take(queue, "eve", 9)) == [1, 2, 3, 5, 9]


def test_leases_made_while_loading_stay(queue):
    """A lease that began after SQL was read for the new order is not lost by it."""
    load(queue, [1, 2], needed=2)
    take(queue, "ada", 1)
    done(queue, NAME, "ada", [1])
    read = [state(1, needed=2, done=1, out=["ada"])]
    assert take(queue, "ben", 1) == [1]
    load(queue, [2, 1], version=2, slots=read, needed=2)
    assert take(queue, "cy", 9) == [2]


def test_a_builder_that_died_leaves_nothing_behind(queue, redis_connection):
    """A build that is never swapped in goes by itself, and a swapped one never does."""
    load(queue, range(10))
    Builder(redis_connection, Scripts(redis_connection))._fill(NAME, "dead", {INFORMATIVE: order(range(10))})
    lives = {key: redis_connection.ttl(key) for key in redis_connection.keys("*:lane:*")}
    assert sorted(life > 0 for life in lives.values()) == [False, True]
    assert [life > 0 for key, life in lives.items() if key.endswith("dead")] == [True]


@pytest.mark.parametrize("size", [5_000, 50_000])
def test_large_windows_load(queue, size):
    """Three lanes of the largest window are served from the first to the last rank."""
    lanes = {
        lane: order(range(i * size, (i + 1) * size), lane) for i, lane in enumerate((INFORMATIVE, MINORITY, AUDIT))
    }
    queue.load(NAME, 1, lanes, [], {INFORMATIVE: 1.0, MINORITY: 1.0, AUDIT: 1.0})
    assert queue.depth(NAME) == {INFORMATIVE: size, MINORITY: size, AUDIT: size, Lane.REVIEW: 0}
    assert sorted(take(queue, "ada", 6)) == [0, 1, size, size + 1, 2 * size, 2 * size + 1]


# --- true to SQL -------------------------------------------------------------------------------------------


def test_a_refused_candidate_is_dropped(queue):
    """What SQL refused takes SQL's state: over, held by others, or free for others."""
    load(queue, [1, 2, 3, 4])
    assert take(queue, "ada", 4) == [1, 2, 3, 4]
    queue.drop(NAME, "ada", [state(1, done=1, out=["ben"]), state(2, live=["ben"]), state(3), state(4, out=["ada"])])
    assert take(queue, "ada", 9) == [3]
    assert take(queue, "cy", 9) == [4]
    assert queue.reap(NAME, LATER) == 3
    assert take(queue, "di", 9) == [4, 2, 3]


def test_sync_repairs_what_messages_lost(queue):
    """Answers, releases and leases that Redis never heard of are set as SQL has them, and counted."""
    load(queue, [1, 2, 3, 4], needed=2)
    assert take(queue, "ada", 2) == [1, 2]
    states = [state(1, needed=2, done=1, out=["ada"]), state(2, needed=2), state(3, needed=2, live=["ada", "ben"])]
    assert queue.sync(NAME, states, {}) == 3
    assert queue.sync(NAME, states, {}) == 0
    assert sorted(take(queue, "ada", 9)) == [2, 4]
    assert sorted(take(queue, "cy", 9)) == [1, 2, 4]


def test_sync_finds_items_that_are_in_no_set(queue, redis_connection):
    """An open item with a history that Redis lost altogether is served again."""
    load(queue, [1, 2], needed=2)
    take(queue, "ada", 1)
    done(queue, NAME, "ada", [1])
    redis_connection.delete("labelloop:{birds}:items", "labelloop:{birds}:started:informative")
    states = [state(1, needed=2, done=1, out=["ada"])]
    assert queue.sync(NAME, states, {}) == 1
    assert take(queue, "ben", 1) == [1]
    redis_connection.delete("labelloop:{birds}:started:informative")
    queue.put_back(NAME, "ben", [1], skip=False)
    redis_connection.delete("labelloop:{birds}:started:informative")
    assert queue.sync(NAME, states, {}) == 1
    assert take(queue, "ben", 1) == [1]


def test_one_more_vote_opens_an_item_again(queue):
    """A tie asks for one more vote: the item comes back in its lane, for those who have not voted."""
    queue.load(NAME, 1, {AUDIT: order([1], AUDIT)}, [], {AUDIT: 1.0})
    take(queue, "ada", 1)
    done(queue, NAME, "ada", [1])
    queue.sync(NAME, [state(1, needed=2, done=1, out=["ada"])], {})
    assert take(queue, "ada", 1) == []
    assert [(one.item, one.lane) for one in propose(queue, NAME, "ben", 1, expires_at=SOON)] == [(1, AUDIT)]


def test_an_older_reading_of_sql_takes_no_vote_back(queue):
    """A state that was read before the last vote came does not offer the item again."""
    load(queue, [1])
    take(queue, "ada", 1)
    read = [state(1, live=["ada"])]
    done(queue, NAME, "ada", [1])
    assert queue.sync(NAME, read, {}) == 0
    queue.reap(NAME, LATER)
    assert take(queue, "ben", 1) == []


def test_sync_gives_back_what_sql_says_nobody_ever_had(queue):
    """A release that Redis did not hear of is repaired, although SQL no longer tells such an item from a fresh one."""
    load(queue, [1, 2])
    assert take(queue, "ada", 2) == [1, 2]
    seen = queue.touched(NAME)
    assert set(seen) == {1, 2}
    assert queue.sync(NAME, [state(1), state(2, live=["ada"])], {}, seen=seen, young=SOON) == 1
    assert take(queue, "ben", 9) == [1]


def test_sync_leaves_alone_what_changed_after_sql_was_read(queue):
    """A lease and a skip that came between reading SQL and the sync stay as they are."""
    load(queue, [1, 2, 3])
    assert take(queue, "ada", 1) == [1]
    seen, read = queue.touched(NAME), [state(1, live=["ada"]), state(2)]
    queue.put_back(NAME, "ada", [1], skip=True)
    assert take(queue, "ben", 2) == [1, 2]
    assert queue.sync(NAME, read, {}, seen=seen) == 0
    assert take(queue, "cy", 9) == [3]


def test_sync_leaves_a_proposal_that_sql_may_still_grant(queue):
    """A lease that is younger than a grant takes is not given to another."""
    load(queue, [1])
    assert take(queue, "ada", 1) == [1]
    assert queue.sync(NAME, [state(1)], {}, seen=queue.touched(NAME), young=SOON - timedelta(seconds=1)) == 0
    assert take(queue, "ben", 1) == []
    assert queue.sync(NAME, [state(1)], {}, seen=queue.touched(NAME), young=SOON) == 1
    assert take(queue, "ben", 1) == [1]


def test_sync_repairs_a_lost_release_of_a_reviewer(queue):
    """A disputed item that SQL says nobody holds is served to the next reviewer."""
    load(queue, [1])
    queue.sync(NAME, [], {1: 0})
    assert take(queue, "rev", 1, review=True) == [1]
    queue.sync(NAME, [state(1, needed=0)], {1: 0}, seen=queue.touched(NAME), young=SOON)
    assert take(queue, "rex", 1, review=True) == [1]


# --- review ------------------------------------------------------------------------------------------------


def test_disputed_items_go_to_reviewers_only(queue):
    """A disputed item leaves its lane for the review, one reviewer at a time, until it is settled."""
    load(queue, [1, 2])
    assert queue.sync(NAME, [], {1: 0}) == 1
    assert take(queue, "ada", 9) == [2]
    assert [(one.item, one.lane) for one in propose(queue, NAME, "rev", 9, expires_at=SOON, review=True)] == [
        (1, Lane.REVIEW)
    ]
    assert take(queue, "rex", 9, review=True) == []
    queue.put_back(NAME, "rev", [1], skip=True)
    assert take(queue, "rev", 9, review=True) == []
    assert take(queue, "rex", 9, review=True) == [1]
    done(queue, NAME, "rex", [1])
    assert take(queue, "roy", 9, review=True) == []
    assert queue.sync(NAME, [], {}) == 0


def test_a_settled_dispute_leaves_the_review(queue):
    """What SQL no longer lists as disputed is not served; what it opens again is."""
    load(queue, [1, 2])
    queue.sync(NAME, [], {1: 0, 2: 0})
    queue.sync(NAME, [state(2, needed=4, done=3, out=["ada", "ben", "cy"])], {})
    assert take(queue, "rev", 9, review=True) == []
    assert take(queue, "ada", 9) == []
    assert take(queue, "di", 9) == [2]


def test_a_reviewer_who_voted_is_passed_over(queue):
    """SQL refuses a reviewer an item he voted on; another gets it."""
    queue.sync(NAME, [], {1: 0, 2: 0})
    assert take(queue, "rev", 9, review=True) == [1, 2]
    queue.drop(NAME, "rev", [state(1, needed=2, done=2, out=["rev", "ada"]), state(2, needed=2, done=2, out=["ada"])])
    assert take(queue, "rev", 9, review=True) == []
    assert take(queue, "rex", 9, review=True) == [1]
    queue.sync(NAME, [], {1: 0, 2: 0})
    assert take(queue, "rev", 9, review=True) == [2]


# --- the server --------------------------------------------------------------------------------------------


def test_forgetting_a_project_leaves_no_key_and_no_other_project(queue, redis_connection):
    """Everything of the project goes, nothing of others."""
    load(queue, [1, 2, 3], needed=2)
    queue.load("bees", 1, {INFORMATIVE: order([1])}, [], EVEN)
    take(queue, "ada", 1)
    queue.sync(NAME, [], {9: 0})
    queue.forget(NAME)
    assert redis_connection.keys("labelloop:{birds}:*") == []
    assert queue.serving(NAME) is None
    assert queue.serving("bees") == 1


def test_scripts_are_sent_again_when_the_server_forgot_them(queue, redis_connection):
    """A restarted or flushed server knows no scripts; nobody notices."""
    load(queue, [1, 2])
    redis_connection.script_flush()
    assert take(queue, "ada", 1) == [1]
    redis_connection.script_flush()
    done(queue, NAME, "ada", [1])
    assert take(queue, "ben", 2) == [2]


def test_a_server_that_is_gone_is_unavailable(tmp_path):
    """Callers know one error for every failure of the server."""
    queue = RedisQueue(connect(f"unix://{tmp_path}/none.sock"))
    for call in (
        queue.ping,
        lambda: take(queue, "ada", 1),
        lambda: load(queue, [1]),
        lambda: queue.depth(NAME),
        lambda: RedisLock(connect(f"unix://{tmp_path}/none.sock")).hold("x", 1).__enter__(),
    ):
        with pytest.raises(Unavailable, match="Try again"):
            call()


def test_a_server_that_can_take_no_more_is_unavailable(queue, redis_connection):
    """A full server is an outage, not a fault of the request."""
    redis_connection.config_set("maxmemory", 1)
    try:
        with pytest.raises(Unavailable):
            load(queue, range(100))
    finally:
        redis_connection.config_set("maxmemory", 0)
    assert queue.ping()


def test_one_holder_at_a_time(redis_connection):
    """A lock is free again when its holder lets go or its time is over; only the holder can let go."""
    lock = RedisLock(redis_connection)
    with lock.hold("birds", 60) as first, lock.hold("birds", 60) as second, lock.hold("bees", 60) as other:
        assert (first, second, other) == (True, False, True)
    with lock.hold("birds", 60) as again:
        assert again
        redis_connection.delete("labelloop:lock:birds")
        with lock.hold("birds", 60) as taken:
            assert taken


def test_an_erased_project_leaves_no_key(queue, redis_connection):
    """Orders that were never swapped in, requirements, leases and counted pulls go at once; another project stays."""
    for name in (NAME, f"{NAME}-2"):
        lanes = {INFORMATIVE: order([1, 2, 3], requires={3: 1})}
        queue.load(name, 1, lanes, [state(2, needed=2, done=1)], EVEN)
        propose(queue, name, "ada", 2, expires_at=SOON, pulls=5, covers=[1])
        Scripts(redis_connection).run("load", name, "draft", "audit", 0, 600, 16, 9)
    before = set(redis_connection.keys(f"labelloop:{{{NAME}-2}}:*"))
    assert len(before) > 5
    queue.erase(NAME)
    queue.erase(NAME)
    assert set(redis_connection.keys("*")) == before
