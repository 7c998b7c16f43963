"""The overview as those meet it who lead a project, in a real browser: figures, curve, classes and annotators."""

import json
import re
from itertools import count

import httpx
import pytest
from playwright.sync_api import expect
from serving import Service, text_item

from labelloop.domain.states import JobKind, Role
from labelloop.domain.types import Model
from labelloop.loop.promote import promote
from labelloop.loop.request import request_training
from labelloop.loop.tend import tend
from labelloop.loop.train import train

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
MEASURED = {"lanes": {"informative": 0.5, "minority": 0.0, "audit": 0.5}}
PICKY = {"promote": {"kind": "better", "minimum_audit": 1}}
_occasions = count()


def opened(service: Service, watched, project: str, role: Role = Role.ENGINEER, *, settled: bool = False) -> None:
    """Sign in and open the overview; `settled` waits for the desk's leases first, which are in the figures, too."""
    watched.sign_in(service.url, service.key(role, project=project, subject="Eva"))
    if settled:
        expect(watched.page.locator("#item .text")).to_be_visible()
    watched.page.get_by_role("button", name="Overview").click()
    expect(watched.page.locator("#overview-at")).to_contain_text("As of")


def labeled(service: Service, project: str, answers: int, *, subject: str = "anna", turn: int = 2) -> None:
    """So many answers over HTTP: good and bad by the item's number."""
    base = f"/v1/projects/{project}"
    classes = project_of(service, project)["labels"]["classes"]
    with service.http(subject=subject) as http:
        while answers > 0:
            leases = http.post(f"{base}/leases", json={"count": min(answers, 10)}).json()["leases"]
            assert leases, "there is nothing left to label"
            rows = [{"lease": one["lease"], "label": classes[int(one["key"][1:]) % turn % 2]} for one in leases]
            http.post(f"{base}/annotations", json={"annotations": rows}).raise_for_status()
            answers -= len(rows)


def trained(service: Service, project: str) -> Model:
    """One more model, measured and judged, and the round that it ranks."""
    tend(service.ports, project)
    job = request_training(service.ports, project, key=f"occasion-{next(_occasions)}").id
    number = train(service.ports, project, job, lambda *_: None).number
    model = promote(service.ports, project, number)
    service.plan(project)
    return model


def asked(service: Service, path: str) -> dict:
    with service.http(Role.ENGINEER) as http:
        return http.get(path).raise_for_status().json()


def project_of(service: Service, project: str) -> dict:
    return asked(service, f"/v1/projects/{project}")


def shown(estimate: dict) -> str:
    return f"{estimate['mean']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def column(watched, table: str, head: str) -> list[str]:
    """The cells below a head, top to bottom."""
    heads = watched.page.locator(f"{table} thead th").all_text_contents()
    rows = watched.page.locator(f"{table} tbody tr").all()
    return [row.locator("th, td").nth(heads.index(head)).inner_text() for row in rows]


@pytest.fixture(scope="module")
def measured(service: Service) -> str:
    """A project with three models, one of which at least the gate refused."""
    name = service.project(items=160, stop={"budget": 120}, **MEASURED, **PICKY)
    for answers in (40, 20, 20):
        labeled(service, name, answers)
        trained(service, name)
    assert {"champion", "refused"} <= {one["state"] for one in asked(service, f"/v1/projects/{name}/curve")["points"]}
    return name


def test_annotators_have_no_overview(service, watched):
    """It ranks people and tells what the model thinks, which would lead their answers."""
    project = service.project(items=6)
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    expect(watched.page.get_by_role("button", name="Overview")).to_be_hidden()


def test_reviewers_see_it_and_nothing_they_may_not(service, watched):
    """Every call that the screen makes is one for reviewers; without the file it says less, and no false number."""
    project = service.project()
    opened(service, watched, project, Role.REVIEWER)
    expect(watched.page.locator("#curve-missing")).to_contain_text("as many labels as its project file says")
    expect(watched.page.get_by_role("button", name="Map")).to_be_hidden()
    assert watched.complaints == []


def test_one_screen_beside_the_desk_is_open_at_a_time(service, watched):
    """Overview and map put each other away, and both lead back to the item."""
    project = service.project(items=6)
    opened(service, watched, project, Role.ADMIN)
    watched.page.get_by_role("button", name="Map").click()
    expect(watched.page.locator("#map")).to_be_visible()
    expect(watched.page.locator("#overview")).to_be_hidden()
    watched.page.get_by_role("button", name="Overview").click()
    expect(watched.page.locator("#map")).to_be_hidden()
    expect(watched.page.locator("#overview")).to_be_visible()
    watched.page.get_by_role("button", name="Back to labeling").click()
    expect(watched.page.locator("#item .text")).to_be_visible()
    expect(watched.page.locator("#overview")).to_be_hidden()


def test_an_empty_project_is_told_in_words(service, watched):
    """No items, no model, nobody: no empty chart, but what is missing."""
    opened(service, watched, service.project())
    words = "There is no model yet: the first training is due at 20 labels, and 0 are there."
    expect(watched.page.locator("#curve-missing")).to_have_text(words)
    expect(watched.page.locator("#plot svg")).to_have_count(0)
    expect(watched.page.locator("#people-note")).to_have_text("Nobody has answered yet.")
    expect(watched.page.locator("#facts")).to_contain_text(re.compile(r"Champion\s*None yet"))
    assert watched.complaints == []


def test_models_without_a_score_are_no_empty_chart(service, watched):
    """Imported labels train a model, and nothing of the audit is labeled: the screen says so."""
    items = [{**text_item(number), "label": ("good", "bad")[number % 2]} for number in range(20)]
    project = service.project(items=[*items, *map(text_item, range(20, 40))])
    assert trained(service, project).metrics == {}
    opened(service, watched, project)
    words = "1 model, and no score yet. Models are measured on items of the audit lane, and none of these has a label."
    expect(watched.page.locator("#curve-missing")).to_contain_text(words)
    expect(watched.page.locator("#facts")).to_contain_text("not measured, for no item of the audit had a label")
    expect(watched.page.locator("#models-table")).to_be_visible()


def test_every_number_is_the_services(service, watched, measured):
    """Tiles, models, classes and annotators show what the calls answer, in both metrics."""
    opened(service, watched, measured, settled=True)
    base = f"/v1/projects/{measured}"
    status, curve, classes, people = (asked(service, base + part) for part in ("", "/curve", "/classes", "/annotators"))
    counts, page = status["items"]["counts"], watched.page
    tiles = dict(zip(page.locator("#tiles dt").all_text_contents(), page.locator("#tiles .number").all(), strict=True))
    expect(tiles["items labeled"]).to_have_text(str(counts["resolved"]))
    expect(tiles["votes"]).to_have_text(str(status["budget"]["spent"]))
    expect(tiles["disputed"]).to_have_text(str(counts["disputed"]))
    points = curve["points"][::-1]
    page.get_by_text("All models as a table").click()
    for metric, name in (("accuracy", "Accuracy"), ("macro_f1", "Macro F1")):
        page.locator("#metric").select_option(metric)
        assert column(watched, "#models", name) == [shown(one["metrics"][metric]) for one in points]
        assert [int(one) for one in column(watched, "#models", "Model")] == [one["number"] for one in points]
        assert column(watched, "#models", "Labels") == [str(one["labels"]) for one in points]
        assert column(watched, "#models", "State") == [one["state"] for one in points]
    champion = status["champion"]
    told = (
        f"Model {champion['number']}, of {champion['labels']} labels: accuracy {shown(champion['metrics']['accuracy'])}"
    )
    expect(page.locator("#facts")).to_contain_text(told)
    assert column(watched, "#by-class", "Labels") == [str(one["labels"]) for one in classes["classes"]]
    # Whoever opens the page holds leases, and has a row.
    assert column(watched, "#people", "Annotator") == [one["annotator"] for one in people["annotators"]]
    assert column(watched, "#people", "Answers") == [str(one["accepted"]) for one in people["annotators"]]
    assert watched.complaints == []
    assert all(url.startswith(service.url) for url in watched.requests)


def test_every_dot_is_reached_by_keys_and_tells_its_facts(service, watched, measured):
    """One stop of the Tab key; arrows, Home and End go on; the picture has a text of its own."""
    opened(service, watched, measured)
    points = asked(service, f"/v1/projects/{measured}/curve")["points"]
    page = watched.page
    expect(page.locator("#plot [tabindex='0']")).to_have_attribute("class", "mark champion")
    page.locator("#metric").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    for point in points:
        mark = page.locator(f"#plot [data-model='{point['number']}']")
        expect(mark).to_be_focused()
        score = shown(point["metrics"]["accuracy"])
        expect(mark).to_have_attribute(
            "aria-label", re.compile(re.escape(f"{point['labels']} labels, Accuracy {score}"))
        )
        for fact in (score, point["state"], point["reason"]):
            expect(page.locator("#readout")).to_contain_text(fact)
        page.keyboard.press("ArrowRight")
    last = points[-1]["metrics"]["accuracy"]
    expect(page.locator("#plot [role=img][aria-label]").first).to_have_attribute(
        "aria-label", re.compile(r"^Accuracy over labels, with 95 % intervals: from ")
    )
    expect(page.locator("#plot [role=img]").first).to_have_attribute("aria-label", re.compile(re.escape(shown(last))))
    page.keyboard.press("Tab")
    expect(page.locator("#plot :focus")).to_have_count(0)


def test_states_are_told_apart_by_shape(service, watched, measured):
    """Champion, retired, refused and degenerate; one without a score stands on the edge, and says so."""
    found = asked(service, f"/v1/projects/{measured}/curve")
    states = ("retired", "champion", "refused", "degenerate")
    point, reason = found["points"][0], f"says one class only {HOSTILE}"
    points = [{**point, "number": at, "state": state, "labels": 20 * at} for at, state in enumerate(states, 1)]
    points[-1] |= {"metrics": {}, "reason": reason}
    body = json.dumps({**found, "points": points})
    watched.page.route("**/curve", lambda route: route.fulfill(body=body, content_type="application/json"))
    opened(service, watched, measured)
    outlines = [watched.page.locator(f"#plot .mark.{state} path").get_attribute("d") for state in states]
    assert len(set(outlines)) == 4
    expect(watched.page.locator("#curve-legend span")).to_have_count(4)
    watched.page.locator("#plot .mark.degenerate").hover()
    expect(watched.page.locator("#readout")).to_contain_text(reason)
    expect(watched.page.locator("#readout")).to_contain_text("no score")
    assert watched.page.locator("#overview img, #overview script").count() == 0
    assert watched.page.title() != "taken"
    assert watched.complaints == []


def test_hostile_names_stay_text(service, watched):
    """Of classes, in the rows and in what is confused most, and of annotators; nothing of them runs."""
    classes = [f"{HOSTILE} {name}" for name in ("one", "two")]
    project = service.project(items=4, labels={"kind": "classes", "classes": classes}, votes={"needed": 2, "cap": 2})
    labeled(service, project, 4, subject=HOSTILE)
    labeled(service, project, 4, subject="ben", turn=1)
    tend(service.ports, project)
    opened(service, watched, project)
    assert column(watched, "#by-class", "Class") == classes
    assert HOSTILE in column(watched, "#people", "Annotator")
    expect(watched.page.locator("#people-note")).to_contain_text(f"“{classes[0]}” against “{classes[1]}” (2)")
    assert watched.page.locator("#overview img, #overview script").count() == 0
    assert watched.page.title() != "taken"
    assert watched.complaints == []


def test_it_stays_up_to_date_and_leaves_the_reader_alone(service, watched):
    """New figures come by themselves; focus and scroll position stay, and a closed screen asks nothing more."""
    names = [f"class {number:02}" for number in range(77)]
    project = service.project(items=120, labels={"kind": "classes", "classes": names}, **MEASURED)
    labeled(service, project, 40)
    trained(service, project)
    watched.page.clock.install()
    opened(service, watched, project)
    page = watched.page
    mark = page.locator("#plot [data-model='1']")
    mark.focus()
    rows = page.locator("#by-class-rows")
    assert rows.evaluate("one => { one.scrollTop = 300; return one.scrollHeight > one.clientHeight; }")
    labeled(service, project, 10)
    trained(service, project)
    page.clock.run_for(16_000)
    expect(page.locator("#plot [data-model='2']")).to_be_visible()
    expect(mark).to_be_focused()
    assert rows.evaluate("one => one.scrollTop") == 300
    page.get_by_role("button", name="Back to labeling").click()
    before = [url for url in watched.requests if url.endswith("/curve")]
    page.clock.run_for(60_000)
    assert [url for url in watched.requests if url.endswith("/curve")] == before
    assert len(before) == 2


def test_a_lost_connection_is_told_and_ends(service, watched, measured):
    """What is shown stays, with its time; when the service answers again the note goes."""
    watched.page.clock.install()
    opened(service, watched, measured)
    at = watched.page.locator("#overview-at").inner_text()
    watched.page.route("**/classes", lambda route: route.abort())
    watched.page.clock.run_for(16_000)
    expect(watched.page.locator("#overview-trouble")).to_have_text("No connection. Trying again…")
    expect(watched.page.locator("#overview-at")).to_have_text(at)
    expect(watched.page.locator("#plot svg")).to_be_visible()
    watched.page.unroute("**/classes")
    watched.page.clock.run_for(16_000)
    expect(watched.page.locator("#overview-trouble")).to_be_empty()


def test_trouble_is_told(service, watched):
    """A training that failed with its sentence, a skill that nobody has, a project that is paused."""
    items = [{**text_item(number), "requires": ["lang:de"]} for number in range(3)]
    project = service.project(items=items)
    job = request_training(service.ports, project)
    assert service.ports.jobs.claim(job.id, 1, service.ports.clock.now())
    problem = {"type": "cannot-train", "title": "CannotTrain", "detail": f"One class is not enough. {HOSTILE}"}
    service.ports.jobs.finish(job.id, 1, now=service.ports.clock.now(), result=None, problem=problem)
    assert service.ports.jobs.recent(project, JobKind.TRAIN, 1)[0].state == "failed"
    with service.http(Role.ENGINEER) as http:
        assert http.post(f"/v1/projects/{project}/pause").status_code == httpx.codes.OK
    opened(service, watched, project)
    facts = watched.page.locator("#facts")
    expect(facts).to_contain_text(problem["detail"])
    expect(facts).to_contain_text("3 items wait for an annotator with lang:de, and no key carries that.")
    expect(facts).to_contain_text("It is paused: no work is handed out.")
    assert watched.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_scrolls_down_only(service, watched, measured, scheme):
    """400 pixels are enough for the page; tables that are wider scroll inside their card."""
    watched.page.emulate_media(color_scheme=scheme)
    watched.page.set_viewport_size({"width": 400, "height": 800})
    opened(service, watched, measured)
    expect(watched.page.locator("#plot svg")).to_be_visible()
    watched.page.get_by_text("All models as a table").click()
    assert watched.page.evaluate("document.documentElement.scrollWidth") == 400
    assert watched.page.locator("#plot svg").bounding_box()["width"] < 400
    expect(watched.page.get_by_role("rowheader", name="good")).to_be_visible()
    assert watched.complaints == []
