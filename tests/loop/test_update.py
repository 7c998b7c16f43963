"""A project's file is changed while people label: what may change does so at once, what may not is named."""

import numpy as np
import pytest
from conftest_loop import blobs, create, label, run_jobs, start, trained, who

from labelloop import projects, wiring
from labelloop.adapters.sql import projects as stored_projects
from labelloop.domain.errors import FixedForGood, InvalidProject, UnknownEdition, UnknownProject
from labelloop.domain.states import JobKind, Lane, ModelState, Role
from labelloop.loop.annotate import annotate
from labelloop.loop.ingest import ingest
from labelloop.loop.lease import lease
from labelloop.loop.replay import replay
from labelloop.loop.tend import tend
from labelloop.loop.update import history, update

ERIN = who("erin", Role.ENGINEER).subject


def changed(ports, **sections):
    """The project with other sections; a section's keys are laid over those that are in force."""
    raw = ports.projects.get("plane").model_dump(mode="json")
    for name, section in sections.items():
        merge = isinstance(section, dict) and isinstance(raw[name], dict) and section.get("kind") is None
        raw[name] = {**raw[name], **section} if merge else section
    return projects.parse(raw)


def put(ports, *, dry=False, **sections):
    return update(ports, changed(ports, **sections), by=ERIN, dry=dry)


def classes(*names):
    return {"kind": "classes", "classes": list(names)}


def order(ports, lane=Lane.INFORMATIVE):
    """The items of a lane as the serving round has them."""
    serving = ports.rounds.serving("plane")
    queries = [query for query in ports.rounds.planned("plane", serving.number) if query.lane is lane]
    return [query.item for query in sorted(queries, key=lambda query: query.rank)]


def test_another_strategy_orders_anew_while_people_hold_leases(ports):
    """A round by the new strategy is asked for and served; leases by the old one are answered as if nothing was."""
    truth = start(ports)
    trained(ports, truth)
    before = order(ports)
    batch = lease(ports, "plane", who("bert"), 5)
    told = put(ports, strategy={"kind": "entropy"})
    assert (told.edition, told.reorders, told.retrains) == (2, True, False)
    assert ("margin", "entropy") in [(one.before, one.after) for one in told.differences if one.key == "strategy.kind"]
    (wish,) = [job for job in ports.jobs.recent("plane", JobKind.PLAN, 50) if "edition 2" in job.reason]
    assert wish.state == "due"
    assert run_jobs(ports) == [wish.id]
    serving = ports.rounds.serving("plane")
    assert (serving.strategy, serving.stats["edition"]) == ("entropy", 2)
    assert order(ports) != before
    answers = [{"lease": str(one.id), "label": truth[one.key]} for one in batch.leases]
    assert [one.outcome for one in annotate(ports, "plane", who("bert"), answers)[0]] == ["accepted"] * 5


def test_the_same_file_again_changes_nothing(ports):
    """No edition, no round; also where the file goes back to what it was, which is an edition of its own."""
    start(ports)
    assert put(ports).edition == 1
    assert put(ports, title="Planes").edition == 2
    assert put(ports, title="Planes").differences == []
    assert put(ports, title="").edition == 3
    assert ports.projects.get("plane") == ports.projects.get("plane", 1)
    told = history(ports, "plane")
    assert [(one["edition"], one["by"]) for one in told] == [(3, "erin"), (2, "erin"), (1, None)]
    assert told[1]["differences"] == [{"key": "title", "before": "", "after": "Planes"}]
    assert told[2]["differences"] == []
    assert not ports.jobs.unfinished("plane", ports.clock.now())


def test_a_dry_run_only_tells(ports):
    """Differences and what would follow are told; the file in force and the jobs stay."""
    start(ports)
    told = put(ports, dry=True, lanes={"minority": 0.5})
    assert [(one.key, one.before, one.after) for one in told.differences] == [("lanes.minority", 0.1, 0.5)]
    assert (told.edition, told.reorders) == (1, True)
    assert ports.projects.row("plane").edition == 1
    assert not ports.jobs.unfinished("plane", ports.clock.now())


@pytest.mark.parametrize(
    "sections,named",
    [
        ({"seed": 7}, "seed"),
        ({"features": {"kind": "columns", "scale": False}}, "features.scale"),
        ({"features": {"kind": "text"}}, "features.kind"),
        ({"items": {"shard_size": 128}}, "items.shard_size"),
        ({"labels": classes("c0", "c2", "c1")}, "stay in their places"),
        ({"labels": classes("c0", "c1")}, "stay in their places"),
        ({"lanes": {"audit_items": 10}}, "lanes.audit_items"),
    ],
)
def test_what_labels_and_numbers_are_bound_to_stays(ports, sections, named):
    """The key is named with the reason and what to do instead; nothing is kept, also not what else was changed."""
    start(ports)
    with pytest.raises(FixedForGood, match=named) as refused:
        put(ports, title="Planes", **sections)
    assert "another name" in refused.value.detail
    assert ports.projects.row("plane").edition == 1


def test_an_audit_begins_before_anything_is_asked(ports):
    """Where none was reserved, none can begin; its share may change, and end."""
    start(ports, lanes={"informative": 1.0, "audit": 0.0, "window": 100})
    with pytest.raises(FixedForGood, match="nothing was reserved"):
        put(ports, lanes={"audit": 0.2})


def test_the_audit_may_change_until_it_is_reserved(ports):
    """Items alone do not fix it, the first round does."""
    create(ports)
    ingest(ports, "plane", blobs(100)[0])
    assert put(ports, lanes={"audit": 0.5, "audit_items": 20}).edition == 2
    tend(ports, "plane")
    run_jobs(ports)
    with pytest.raises(FixedForGood, match="audit_items"):
        put(ports, lanes={"audit_items": 30})
    assert put(ports, lanes={"audit": 0.0}).edition == 3


def test_a_project_without_items_may_change_altogether(ports):
    """A typo in a class, other features, another seed: nothing is bound to them yet; with the first item they are."""
    create(ports)
    told = put(ports, seed=7, labels=classes("one", "two"), features={"kind": "text"}, items={"shard_size": 128})
    assert (told.edition, told.reorders) == (2, False)
    put(ports, features={"kind": "columns"})
    stale = ports.projects.row("plane").edition
    ingest(ports, "plane", blobs(20)[0])
    assert not ports.projects.change(
        changed(ports, seed=8), known=stale, empty=True, by=ERIN, now=ports.clock.now(), plan=None
    )
    with pytest.raises(FixedForGood, match="seed"):
        put(ports, seed=8)


def test_a_file_that_cannot_work_is_refused_like_a_new_one(ports):
    """Estimators, costs and schedules are tried before the file is put in force; an unknown project is none."""
    start(ports)
    with pytest.raises(InvalidProject, match="costs has 2 rows for 3"):
        put(ports, strategy={"kind": "expected_cost", "costs": [[0, 1], [1, 0]]})
    raw = ports.projects.get("plane").model_dump(mode="json") | {"name": "nobody"}
    with pytest.raises(UnknownProject):
        update(ports, projects.parse(raw), by=ERIN)
    with pytest.raises(UnknownEdition, match="edition 9"):
        ports.projects.get("plane", 9)


def test_a_class_that_nobody_thought_of_is_added(ports, tmp_path):
    """It can be answered at once, is learned, ranked and measured; rounds before and after are replayed alike."""
    items, truth = blobs(240, classes=4)
    create(ports)
    ingest(ports, "plane", items)
    tend(ports, "plane")
    run_jobs(ports)

    def known(one):
        return truth[one.key] if truth[one.key] != "c3" else "c0"

    for _ in range(2):
        label(ports, truth, count=30, answer=known)
        tend(ports, "plane")
        run_jobs(ports)
        tend(ports, "plane")
    told = put(ports, labels=classes("c0", "c1", "c2", "c3"))
    assert (told.reorders, told.retrains) == (True, True)
    run_jobs(ports)  # the champion, which has never seen the class, ranks by the new file
    assert ports.rounds.serving("plane").stats["edition"] == 2
    outcomes = []
    for _ in range(3):
        outcomes += label(ports, truth, count=25)
        tend(ports, "plane")
        run_jobs(ports)
        tend(ports, "plane")
    assert {one.outcome for one in outcomes} == {"accepted"}
    newest = ports.models.all("plane")[-1]
    assert newest.provenance["edition"] == 2
    assert newest.provenance["class_counts"]["c3"] > 0
    assert newest.state is ModelState.CHAMPION
    for planned in ports.rounds.recent("plane", 100):
        done = replay(
            ports, "plane", planned.number, scratch=wiring.scratch_scores(tmp_path / "again"), beat=lambda *_: None
        )
        assert done.difference is None, planned


def test_other_costs_are_other_scores_of_the_same_model(ports):
    """Scores that were kept by the strategy before are not taken for those of the new options."""
    indifferent = [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    truth = start(ports, strategy={"kind": "expected_cost", "costs": indifferent})
    trained(ports, truth)
    model, before = ports.rounds.serving("plane").model, order(ports)
    put(ports, strategy={"kind": "expected_cost", "costs": [[0, 100, 1], [1, 0, 1], [1, 1, 0]]})
    run_jobs(ports)
    assert ports.rounds.serving("plane").model == model
    assert order(ports)[:20] != before[:20]


def test_another_model_comes_with_the_next_training(ports):
    """The champion of the old file serves until a model of the new one has passed the gate."""
    truth = start(ports)
    first = trained(ports, truth)
    told = put(
        ports, model={"kind": "sklearn", "estimator": "sklearn.ensemble.RandomForestClassifier", "calibrate": False}
    )
    assert (told.reorders, told.retrains) == (False, True)
    assert ports.projects.row("plane").champion == first.number
    newest = trained(ports, truth, rounds=1)
    assert newest.provenance["model"]["estimator"] == "sklearn.ensemble.RandomForestClassifier"
    assert newest.state in {ModelState.CHAMPION, ModelState.REFUSED}


def test_a_pull_obeys_the_new_file_at_once(ports, clock):
    """Leases, bounds and the budget are those of the edition in force at the moment of the pull."""
    start(ports)
    put(ports, lease={"seconds": 60.0, "maximum": 4}, stop={"budget": 3})
    batch = lease(ports, "plane", who("anna"), 10)
    assert len(batch.leases) == 3
    assert (batch.leases[0].expires_at - clock.now()).total_seconds() == pytest.approx(60, abs=1)
    put(ports, stop={"budget": None})
    assert len(lease(ports, "plane", who("bert"), 10).leases) == 4


def test_more_votes_are_asked_of_items_that_wait(ports):
    """The next round asks two people for what nobody answered yet; what is settled stays settled."""
    truth = start(ports)
    label(ports, truth, count=10)
    tend(ports, "plane")
    settled = ports.pool.counts("plane").resolved
    put(ports, votes={"needed": 2})
    run_jobs(ports)
    assert {query.needed for query in ports.rounds.planned("plane", ports.rounds.serving("plane").number)} == {2}
    label(ports, truth, count=6, by="bert")
    tend(ports, "plane")
    assert ports.pool.counts("plane").resolved == settled
    label(ports, truth, count=6, by="carl")
    tend(ports, "plane")
    assert ports.pool.counts("plane").resolved > settled


def test_another_process_learns_of_it(ports, monkeypatch):
    """What needs the row asks by the exact edition; what does not may be a second behind, and no longer."""
    start(ports)
    other = stored_projects.SqlProjects(ports.projects._database)
    assert other.get("plane").title == ""
    put(ports, title="Planes")
    assert other.get("plane", other.row("plane").edition).title == "Planes"
    assert other.get("plane").title == ""
    later = stored_projects.time.monotonic() + stored_projects.KNOWN_SECONDS
    monkeypatch.setattr(stored_projects.time, "monotonic", lambda: later)
    assert other.get("plane").title == "Planes"


def test_two_who_change_at_once_both_have_their_say(ports, monkeypatch):
    """Who was overtaken looks again at what is in force: his file is the later edition, and none is lost."""
    start(ports)
    mine, theirs = changed(ports, title="Mine"), changed(ports, title="Theirs")
    honest, overtaken = ports.projects.change, []

    def slow(project, **terms):
        if not overtaken:
            overtaken.append(True)
            assert honest(theirs, known=1, by=ERIN, now=ports.clock.now(), plan=None)
        return honest(project, **terms)

    monkeypatch.setattr(ports.projects, "change", slow)
    assert update(ports, mine, by=ERIN).edition == 3
    assert [ports.projects.get("plane", number).title for number in (1, 2, 3)] == ["", "Theirs", "Mine"]


def test_numbers_of_a_pool_outlive_changes(ports):
    """Features are computed once: no edition makes them anew, and the shards keep their rows."""
    truth = start(ports)
    trained(ports, truth, rounds=1)
    project = ports.projects.get("plane")
    before = np.asarray(ports.features.take(project, np.arange(100)))
    put(ports, strategy={"kind": "entropy"}, lanes={"window": 50})
    run_jobs(ports)
    assert np.array_equal(before, np.asarray(ports.features.take(ports.projects.get("plane"), np.arange(100))))
