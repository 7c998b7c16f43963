"""The map as an engineer meets it, in a real browser: drawn by a job, pointed at, and deaf to hostile items."""

import re

import pytest
from playwright.sync_api import expect
from serving import Service

from labelloop import jobs
from labelloop.domain.states import JobKind, Role
from labelloop.loop.map import draw

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


def opened(service: Service, watched, project: str) -> None:
    """Sign in as an engineer and open the map."""
    watched.sign_in(service.url, service.key(Role.ENGINEER, project=project, subject="Eva"))
    watched.page.get_by_role("button", name="Map").click()


def drawn(service: Service, project: str) -> None:
    draw(service.ports, project, lambda _part, _what: None)


def pixels(watched) -> int:
    """How many pixels of the canvas are drawn on."""
    return watched.page.evaluate(
        "() => { const c = document.getElementById('plane');"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) n += 1; return n; }"
    )


def test_annotators_have_no_map(service, watched):
    """It shows what the model guesses, which would lead their answers."""
    project = service.project(items=6)
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    expect(watched.page.get_by_role("button", name="Map")).to_be_hidden()


def test_a_map_is_drawn_on_demand_by_a_worker(service, watched, monkeypatch):
    """Nobody has drawn it yet: the page asks for it, waits for the job, and shows it."""
    project = service.project(items=40)
    monkeypatch.setattr(jobs, "ports", lambda: service.ports)
    opened(service, watched, project)
    expect(watched.page.locator("#map-note")).to_contain_text("waiting for a worker")
    (job,) = service.ports.jobs.recent(project, JobKind.MAP, 5)
    jobs.draw(job.id, service.ports.jobs.unfinished(project, service.ports.clock.now())[-1].attempt)
    expect(watched.page.locator("#map-note")).to_contain_text("40 of 40 items, 0 of 0 labels, no model yet")
    assert pixels(watched) > 200
    watched.page.get_by_role("button", name="Back to labeling").click()
    expect(watched.page.locator("#item .text")).to_be_visible()
    assert [line for line in watched.complaints if "404" not in line] == []


def test_points_tell_of_their_item_and_hostile_text_stays_text(service, watched):
    """By keys and by pointer; the item's data enter the document as words, and nothing of them runs."""
    items = [{"key": f"k{at}", "data": {"text": f"{HOSTILE} {at}"}, "label": "good"} for at in range(30)]
    project = service.project(items=items)
    drawn(service, project)
    opened(service, watched, project)
    expect(watched.page.locator("#map-note")).to_contain_text("30 of 30 items, 30 of 30 labels")
    watched.page.locator("#plane").focus()
    watched.page.keyboard.press("ArrowRight")
    expect(watched.page.locator("#point .text")).to_contain_text("<script>")
    expect(watched.page.locator("#point dl")).to_contain_text(re.compile(r"label\s*good"))
    first = watched.page.locator("#point dd").first.inner_text()
    watched.page.keyboard.press("ArrowRight")
    expect(watched.page.locator("#point dd").first).not_to_have_text(first)
    assert watched.page.locator("#point img, #point script").count() == 0
    assert watched.page.title() != "taken"
    assert watched.complaints == []


def test_hostile_class_names_stay_text(service, watched):
    """In the legend and on the canvas."""
    classes = [f"<b onmouseover=alert(1)>{name}</b>" for name in ("one", "two", "three")]
    items = [{"key": f"k{at}", "data": {"text": f"text {at}"}, "label": classes[at % 3]} for at in range(30)]
    project = service.project(items=items, labels={"kind": "classes", "classes": classes})
    drawn(service, project)
    opened(service, watched, project)
    expect(watched.page.locator("#legend button")).to_have_count(3)
    assert watched.page.locator("#legend b").count() == 0
    expect(watched.page.locator("#legend")).to_contain_text("<b onmouseover=alert(1)>one</b>")


def test_colours_layouts_and_groups_change_the_picture(service, watched):
    """Class, doubt, score, asked; neighbours or distances; one group alone; enlarged and back."""
    items = [
        {"key": f"k{at}", "data": {"text": f"{word} {at}"}, "label": label}
        for at in range(45)
        for word, label in [(("sun", "good"), ("rain", "bad"), ("snow", "odd"))[at % 3]]
    ]
    project = service.project(items=items)
    drawn(service, project)
    opened(service, watched, project)
    expect(watched.page.locator("#legend button")).to_have_count(3)
    seen = [pixels(watched)]
    watched.page.get_by_label("Layout").select_option("pca")
    seen.append(pixels(watched))
    watched.page.locator("#legend button").first.click()
    expect(watched.page.locator("#legend button").first).to_have_attribute("aria-pressed", "true")
    watched.page.locator("#plane").hover()
    watched.page.mouse.wheel(0, -600)
    seen.append(pixels(watched))
    watched.page.locator("#plane").dblclick()
    watched.page.get_by_text("Doubt", exact=True).click()
    expect(watched.page.locator("#legend")).to_contain_text("a toss-up")
    watched.page.get_by_text("Score", exact=True).click()
    expect(watched.page.locator("#legend")).to_contain_text("asked first")
    watched.page.get_by_text("Asked", exact=True).click()
    expect(watched.page.locator("#legend")).to_contain_text("comes next")
    assert len(set(seen)) == 3
    assert watched.complaints == []
