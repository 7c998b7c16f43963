"""Near-duplicates are asked once: by features, by what texts say, and beside what is out already."""

import numpy as np
import pytest
from conftest_loop import create, label, run_jobs
from test_minority import Crowd, Words

from labelloop import projects
from labelloop.domain.errors import Conflict, Invalid
from labelloop.domain.states import Lane
from labelloop.domain.types import NewItem
from labelloop.loop import once, together
from labelloop.loop.compose import compose
from labelloop.loop.ingest import ingest
from labelloop.loop.pool import PoolView
from labelloop.loop.tend import tend
from labelloop.loop.texts import PoolTexts, digest, plain

LANES = {"informative": 0.5, "minority": 0.5, "audit": 0.0, "window": 100}


def project(**strategy):
    return projects.parse(
        {
            "name": "twins",
            "labels": {"kind": "classes", "classes": ["common", "rare"]},
            "items": {"kind": "table", "shard_size": 64},
            "features": {"kind": "columns"},
            "lanes": LANES,
            "strategy": {"kind": "margin", "near_duplicates": 0.999, **strategy},
        }
    )


class Twins(Crowd):
    """Every row of the crowd twice: row i and row i + 210 are copies, and the later one scores higher."""

    def __init__(self, labeled=(), codes=()):
        super().__init__(labeled, codes, belief=np.linspace(0.2, 0.4, 420))
        self.points[210:] = self.points[:210]


def orders(crowd, **strategy):
    return compose(project(**strategy), crowd.view, crowd, np.random.default_rng(0), cold=False).lanes


def test_the_best_of_two_copies_is_asked_and_the_other_goes_behind():
    """The head of the order has no copies; nothing is thrown out."""
    crowd = Twins()
    order = orders(crowd)[Lane.INFORMATIVE].numbers
    head = order[:50] % 210
    assert len(set(head.tolist())) == 50
    assert (order[:50] >= 210).all()
    without = orders(crowd, near_duplicates=None)[Lane.INFORMATIVE].numbers
    found = once.in_order(project(), crowd.view, crowd, np.random.default_rng(0), without)
    assert sorted(found.tolist()) == list(range(len(without)))


def test_a_twin_of_what_is_labeled_or_out_goes_behind():
    """Copies of labeled items and of items in flight are not asked early."""
    crowd = Twins(labeled=[209, 208], codes=[0, 1])
    view = crowd.view
    crowd.view = PoolView(
        waiting=np.setdiff1d(view.waiting, [207]), reserve=view.reserve, class_counts=view.class_counts,
        labeled=view.labeled, codes=view.codes, in_flight=np.array([207]),
    )  # fmt: skip
    order = orders(crowd)[Lane.INFORMATIVE].numbers
    assert not {417, 418, 419} & set(order[:50].tolist())
    without = orders(crowd, near_duplicates=None)[Lane.INFORMATIVE].numbers
    assert {417, 418, 419} <= set(without[:10].tolist())


@pytest.mark.parametrize("rule", ["k_center", "herding", "k_means"])
def test_a_batch_that_is_spread_has_no_copies(rule):
    """It is chosen out of the order without them, though copies stand side by side by their scores."""
    crowd, alone = Twins(), {"informative": 1.0, "minority": 0.0, "audit": 0.0, "window": 100}
    crowd.belief = np.tile(np.linspace(0.2, 0.4, 210), 2)

    def order(**strategy):
        asked = project(**strategy).model_copy(update={"lanes": projects.Lanes(**alone)})
        made = compose(asked, crowd.view, crowd, np.random.default_rng(0), cold=False)
        return made.lanes[Lane.INFORMATIVE].numbers

    batch = order(diversity=rule, batch=20, shortlist=2)[:20]
    assert len(set((batch % 210).tolist())) == 20
    assert np.isin(batch, order()[:40]).all()


def test_two_lanes_do_not_ask_for_twins():
    """What the informative lane asks at once is not asked again by a copy in the minority lane."""
    lanes = orders(Twins())
    early = [lanes[lane].numbers[:20] % 210 for lane in (Lane.INFORMATIVE, Lane.MINORITY)]
    assert not np.isin(*early).any()


def test_only_the_head_of_an_order_is_compared(monkeypatch):
    """The work is bounded: what stands far behind stays where it is."""
    monkeypatch.setattr(once, "HEAD", 10)
    crowd = Twins()
    numbers = np.array([0, 210, 1, 2, 3, 4, 5, 6, 7, 8, 9, 219])
    found = once.in_order(project(), crowd.view, crowd, np.random.default_rng(0), numbers)
    assert numbers[found].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 219, 210]


def test_digests_see_words_alone():
    """Case, spaces, punctuation and compatible signs make no difference; words do; nothing said is 0."""
    assert plain("  Hello,\tWORLD!! ") == "hello world"
    assert digest("Hello, world") == digest("hello   WORLD.") != digest("hello worlds")
    assert digest("\ufb01ne") == digest("fine")
    assert digest(" ... ") == 0


def test_texts_of_a_real_pool_are_known_by_shard(ports):
    """Digests and keywords come from the store, also of items that come later; phrases count as whole words."""
    made = create(
        ports,
        items={"kind": "text", "shard_size": 64},
        features={"kind": "text"},
        strategy={"kind": "margin", "near_duplicates": 0.99},
        minority={"keywords": {"c1": ["Free prize", "urgent"]}},
        lanes=LANES,
    )
    said = [f"item number {at} of many" for at in range(70)]
    said[3], said[66], said[10] = "You won a FREE  prize!", "URGENT: call", "insurgents win a free  prizefight"
    items = [NewItem(key=f"k{at}", data={"text": text}, line=at + 1) for at, text in enumerate(said)]
    ingest(ports, "plane", items[:60])
    assert PoolTexts(ports, made, 60).of(1).tolist() == [3]
    ingest(ports, "plane", items[60:])
    known = PoolTexts(ports, made, 70)
    assert known.of(1).tolist() == [3, 66]
    assert known.of(0).tolist() == []
    np.testing.assert_array_equal(known.digests(np.array([66, 3])), [digest(said[66]), digest(said[3])])


def test_people_get_keywords_first_and_no_text_twice(ports):
    """A text project with keywords and twins: before a model the lane serves what holds a keyword, once."""
    create(
        ports,
        items={"kind": "text", "shard_size": 64},
        features={"kind": "text"},
        strategy={"kind": "margin", "near_duplicates": 0.99},
        minority={"keywords": {"c1": ["prize"]}},
        lanes=LANES,
        retrain={"first": 12, "labels": 12},
    )
    said = [f"word{at} and word{at * 7 % 50} meet word{at * 3 % 40}" for at in range(60)]
    said += ["Win a prize today", "win a PRIZE, today!", "prize draw now", "this prize is yours", "no prize for you"]
    truth = {f"k{at}": f"c{1 if 'prize' in text.lower() else at % 2 * 2}" for at, text in enumerate(said)}
    ingest(ports, "plane", [NewItem(key=f"k{at}", data={"text": text}, line=at + 1) for at, text in enumerate(said)])
    tend(ports, "plane")
    run_jobs(ports)
    planned = ports.rounds.queries("plane", ports.rounds.serving("plane").number)
    rare = [int(query.item) for query in sorted(planned, key=lambda q: q.rank) if query.lane is Lane.MINORITY]
    assert len(set(rare[:4]) & set(range(60, 65))) >= 3
    assert len({60, 61} & set(rare[:10])) <= 1
    for _ in range(2):
        label(ports, truth, count=14)
        tend(ports, "plane")
        run_jobs(ports)
    served = ports.rounds.serving("plane")
    assert served.model is not None
    assert "fallback" not in served.stats
    assert Words({}).of(1).tolist() == []


def test_an_export_can_answer_near_duplicates_together(ports):
    """Asked for, waiting items so similar to an answered one get its label, and say whose; nothing is settled."""
    create(ports, items={"kind": "text", "shard_size": 64}, features={"kind": "text"}, retrain={"first": 4})
    said = [
        f"{word} stands alone beside {word} and {word}s"
        for word in ["abel", "bert", "carl", "dora", "emil", "fritz", "gert"]
    ]
    said += [f"{text} today" for text in said] + ["nothing of the kind"] * 1 + [f"filler {n * n}" for n in range(80)]
    labels = ["c0", "c1", "c2", "c0", "c1", "c2", "c0"]
    items = [NewItem(key=f"k{n}", data={"text": t}, label=dict(enumerate(labels)).get(n)) for n, t in enumerate(said)]
    ingest(ports, "plane", items)
    with pytest.raises(Conflict, match="next round"):
        together.export(ports, "plane", 0.8)
    tend(ports, "plane")
    run_jobs(ports)
    before = ports.pool.counts("plane")
    rows = list(together.export(ports, "plane", 0.8))
    assert len(list(together.export(ports, "plane"))) == 7
    alike = {row["key"]: row for row in rows[7:]}
    assert {key: (row["duplicate_of"], row["label"]) for key, row in alike.items()} == {
        f"k{n + 7}": (f"k{n}", label) for n, label in enumerate(labels)
    }
    assert {row["source"] for row in alike.values()} == {"near_duplicate"}
    assert all(0.8 <= row["similarity"] < 1 for row in alike.values())
    assert list(rows[0]) == list(alike["k7"])
    assert ports.pool.counts("plane") == before
    with pytest.raises(Invalid, match="above 0 and up to 1"):
        together.export(ports, "plane", 1.5)
