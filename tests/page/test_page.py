"""The page as a person meets it: keys, undo, skip, broken connections, hostile items. In a real browser."""

import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from serving import Service, text_item

from labelloop.domain.states import Role
from labelloop.loop.promote import promote_by_hand
from labelloop.loop.request import request_training
from labelloop.loop.tend import tend
from labelloop.loop.train import train

pytestmark = pytest.mark.browser


def answers(service: Service, project: str) -> list[tuple[str, str]]:
    """(item key, label) of all annotations, in item order."""
    found = []
    for item in service.ports.pool.span(project, 0, 1000):
        history = service.ports.ledger.history(project, item.number)
        found += [(item.key, row["label"]) for row in history["annotations"]]
    return found


def eventually(watched: Any, question: Callable[[], Any], wanted: Any) -> None:
    """Ask until the answer is the wanted one, for 8 s at most."""
    for _ in range(80):
        if question() == wanted:
            return
        watched.page.wait_for_timeout(100)
    assert question() == wanted


def shown_key(watched: Any) -> str:
    """Which of the numbered items is on screen."""
    text = watched.page.locator("#item .text").inner_text()
    return "k" + re.search(r"\d+", text)[0]


def press_and_wait(watched: Any, key: str) -> str:
    """Answer what is on screen by a key and wait until the next item is there. Returns the item's key."""
    answered = shown_key(watched)
    watched.page.keyboard.press(key)
    expect(watched.page.locator("#item .text")).not_to_contain_text(re.compile(rf"report {answered[1:]}:"))
    return answered


def test_a_wrong_key_is_told_and_a_right_one_opens_the_desk(service, watched):
    """Sign in, and out again: the key is gone from the tab."""
    project = service.project(items=8)
    watched.sign_in(service.url, "ll_wrong")
    expect(watched.page.get_by_role("alert")).to_contain_text("Nobody knows this key")
    watched.page.get_by_label("Key").fill(service.key(project=project, subject="Ann"))
    watched.page.keyboard.press("Enter")
    expect(watched.page.locator("#item .text")).to_be_visible()
    expect(watched.page.locator("#who")).to_have_text("Ann")
    watched.page.get_by_role("button", name="Sign out").click()
    expect(watched.page.get_by_label("Key")).to_be_focused()
    watched.page.reload()
    expect(watched.page.get_by_label("Key")).to_be_visible()


def test_labeling_by_keys_reaches_the_store_and_asks_nobody_else(service, watched):
    """Each key labels the item on screen; the page talks to its own service only, and its policy is never violated."""
    project = service.project(items=12)
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    given = [(press_and_wait(watched, key), label) for key, label in [("1", "good"), ("2", "bad"), ("3", "odd")]]
    expect(watched.page.locator("#mine-count")).to_have_text("3")
    eventually(watched, lambda: sorted(answers(service, project)), sorted(given))
    watched.page.keyboard.press("9")
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_timeout(300)
    assert len(answers(service, project)) == 3
    assert all(url.startswith(service.url) for url in watched.requests)
    assert watched.complaints == []


def test_more_than_nine_classes_go_on_with_letters_and_a_search(service, watched):
    """Keys a…z without s and u; beyond those, a class is found by its name."""
    names = [f"class {number:02}" for number in range(1, 41)]
    project = service.project(items=6, labels={"kind": "classes", "classes": names})
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    given = [(press_and_wait(watched, "a"), "class 10"), (press_and_wait(watched, "z"), "class 33")]
    found = shown_key(watched)
    watched.page.keyboard.press("/")
    watched.page.keyboard.type("s 38")
    watched.page.keyboard.press("Enter")
    expect(watched.page.locator("#last")).to_have_text("Answered: class 38")
    eventually(watched, lambda: sorted(answers(service, project)), sorted([*given, (found, "class 38")]))


def test_classes_that_are_digits_have_themselves_as_keys(service, watched):
    """Whoever sees a 3 presses 3, also where the first class is 0."""
    project = service.project(items=4, labels={"kind": "classes", "classes": list("0123456789")})
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    given = [(press_and_wait(watched, "3"), "3"), (press_and_wait(watched, "0"), "0")]
    eventually(watched, lambda: sorted(answers(service, project)), sorted(given))


def test_a_class_beside_digits_has_a_letter(service, watched):
    """What is no digit comes behind without moving a key."""
    project = service.project(items=4, labels={"kind": "classes", "classes": ["0", "3", "unreadable"]})
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    given = [(press_and_wait(watched, "3"), "3"), (press_and_wait(watched, "a"), "unreadable")]
    watched.page.keyboard.press("2")
    eventually(watched, lambda: sorted(answers(service, project)), sorted(given))


def test_a_file_that_is_changed_meanwhile_changes_the_open_page(service, watched):
    """A class more and other instructions are there without a reload; the item on screen stays and takes the class."""
    project = instructed(service, "Good or bad.")
    watched.page.clock.install()
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    watched.page.get_by_text("Instructions").click()
    on_screen = shown_key(watched)
    with service.http(Role.ENGINEER) as http:
        file = http.get(f"/v1/projects/{project}/file").json()
        file |= {"title": "Shirts", "labels": {**file["labels"], "instructions": "Or funny."}}
        file["labels"]["classes"] = [*file["labels"]["classes"], "funny"]
        assert http.put(f"/v1/projects/{project}", json=file).json()["edition"] == 2
    watched.page.clock.run_for(16_000)
    expect(watched.page.get_by_text("Or funny.")).to_be_visible()
    expect(watched.page.locator("#title")).to_have_text("Shirts")
    assert shown_key(watched) == on_screen
    watched.page.keyboard.press(str(len(file["labels"]["classes"])))
    watched.page.clock.run_for(4_000)
    eventually(watched, lambda: answers(service, project), [(on_screen, "funny")])


def test_undo_takes_the_last_answer_back_before_anyone_sees_it(service, watched):
    """The wrong answer is never sent; the item is on screen again, and the second answer counts."""
    project = service.project(items=6)
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    item = press_and_wait(watched, "2")
    watched.page.keyboard.press("u")
    expect(watched.page.locator("#item .text")).to_contain_text(f"report {item[1:]}:")
    expect(watched.page.get_by_role("button", name="Undo")).to_be_disabled()
    watched.page.keyboard.press("1")
    eventually(watched, lambda: answers(service, project), [(item, "good")])


def test_a_skipped_item_never_comes_back(service, watched):
    """Skip, then label the rest: the skipped one stays unanswered, and the page says that nothing is left."""
    project = service.project(items=3)
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    skipped = press_and_wait(watched, "s")
    press_and_wait(watched, "1")
    watched.page.get_by_role("button", name="bad").click()
    expect(watched.page.locator("#waiting")).to_contain_text("Nothing to do right now")
    expect(watched.page.locator("#waiting-text")).to_contain_text(re.compile(r"Looking again (in \d+ s|now)"))
    eventually(watched, lambda: len(answers(service, project)), 2)
    assert skipped not in dict(answers(service, project))


def test_work_that_appears_later_is_found_without_a_reload(service, watched):
    """The page looks again by itself."""
    project = service.project()
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#waiting")).to_contain_text("Nothing to do right now")
    with service.http(Role.ENGINEER) as http:
        http.post(f"/v1/projects/{project}/items", json=[{"key": "k7", "data": {"text": "Weather report 7: late"}}])
    service.plan(project)
    expect(watched.page.locator("#item .text")).to_contain_text("report 7")


def test_a_spent_budget_ends_the_work(service, watched):
    """The page says so, and shows how much was spent."""
    project = service.project(items=5, stop={"budget": 2})
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    press_and_wait(watched, "1")
    watched.page.keyboard.press("1")
    expect(watched.page.locator("#waiting-title")).to_have_text(re.compile("Nothing to do$"))
    expect(watched.page.locator("#waiting-text")).to_contain_text(re.compile("budget", re.IGNORECASE))


HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.mark.parametrize("kind", ["text", "table"])
def test_hostile_items_and_labels_are_shown_as_text(service, watched, kind):
    """Markup in items, field names, classes, titles and instructions is shown letter by letter and runs nothing."""
    project = service.project(
        items=[{"key": HOSTILE, "data": {"text": HOSTILE, HOSTILE: HOSTILE}}],
        labels={"kind": "classes", "classes": [HOSTILE, "good"], "instructions": HOSTILE},
        items_section={"kind": kind, "field": "text" if kind == "text" else None},
        title=HOSTILE,
    )
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project, subject=HOSTILE))
    place = "#item .text" if kind == "text" else "#item dd >> nth=0"
    expect(watched.page.locator(place)).to_have_text(HOSTILE)
    expect(watched.page.locator("#classes button >> nth=0")).to_contain_text(HOSTILE)
    expect(watched.page.locator("#who")).to_have_text(HOSTILE)
    expect(watched.page.locator("#instructions p")).to_be_visible()
    expect(watched.page.locator("#instructions p")).to_have_text(HOSTILE)
    watched.page.keyboard.press("1")
    eventually(watched, lambda: [label for _, label in answers(service, project)], [HOSTILE])
    assert watched.page.locator("#desk img, #desk script").count() == 0
    assert "owned" not in watched.page.title().replace(HOSTILE, "")
    assert watched.complaints == []


def test_a_reload_goes_on_where_it_was(service, watched):
    """Signed in still, the held answer is sent, the open leases come back, and nothing is leased twice."""
    project = service.project(items=12)
    watched.sign_in(service.url, service.key(project=project, subject="reloader"))
    expect(watched.page.locator("#item .text")).to_be_visible()
    item = press_and_wait(watched, "1")
    before = {lease.item for lease in service.ports.ledger.held(project, "reloader", service.ports.clock.now())}
    watched.page.reload()
    expect(watched.page.locator("#item .text")).to_be_visible()
    eventually(watched, lambda: answers(service, project), [(item, "good")])
    after = {lease.item for lease in service.ports.ledger.held(project, "reloader", service.ports.clock.now())}
    assert len(after) == len(before) - 1
    assert after < before
    assert shown_key(watched) != item


def test_nothing_is_lost_without_a_connection(service, watched):
    """Answers given offline are kept, also over a reload, and sent once when the connection is back."""
    project = service.project(items=12)
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    watched.page.route("**/v1/**", lambda route: route.abort())
    given = [(press_and_wait(watched, "1"), "good"), (press_and_wait(watched, "2"), "bad")]
    given.append((press_and_wait(watched, "3"), "odd"))
    expect(watched.page.locator("#banner")).to_contain_text("No connection")
    expect(watched.page.locator("#banner")).to_contain_text("kept here")
    assert answers(service, project) == []
    watched.page.unroute("**/v1/**")
    watched.page.reload()
    eventually(watched, lambda: sorted(answers(service, project)), sorted(given))
    expect(watched.page.locator("#item .text")).to_be_visible()
    expect(watched.page.locator("#banner")).to_be_hidden()


def test_an_answer_whose_acknowledgement_got_lost_counts_once(service, watched):
    """The service took it, the page never heard: it is sent again under the same key."""
    project = service.project(items=8)
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project, subject="twice"))
    expect(watched.page.locator("#item .text")).to_be_visible()
    sent: list[str] = []

    def lose_the_first(route: Any) -> None:
        sent.append(route.request.headers["idempotency-key"])
        if len(sent) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    watched.page.route("**/annotations", lose_the_first)
    item = press_and_wait(watched, "1")
    eventually(watched, lambda: len(sent), 2)
    assert sent[0] == sent[1]
    expect(watched.page.locator("#unsent")).to_be_hidden()
    expect(watched.page.locator("#mine-count")).to_have_text("1")
    assert answers(service, project) == [(item, "good")]


def another_tab(service, watched, project, subject):
    """A second tab of one person; both show an item of the project."""
    key, other = service.key(project=project, subject=subject), watched.open_another()
    for tab in (watched, other):
        tab.hurry()
        tab.sign_in(service.url, key)
        expect(tab.page.locator("#item .text")).to_be_visible()
    return other


def test_an_answer_that_another_tab_was_first_with_is_told(service, watched):
    """Two tabs show the same item. The second answer says that it was not taken, and is not counted."""
    project = service.project(items=9)
    other = another_tab(service, watched, project, "Zoe")
    assert shown_key(watched) == shown_key(other)
    given = [(press_and_wait(watched, "1"), "good") for _ in range(4)]
    eventually(watched, lambda: sorted(answers(service, project)), sorted(given))

    press_and_wait(other, "2")
    banner = other.page.locator("#banner")
    expect(banner).to_contain_text("Your answer “bad” was not taken: its item was answered already under your name")
    expect(banner).to_contain_text("the first answer stands")
    expect(other.page.locator("#last")).to_have_text("")
    expect(other.page.locator("#mine-count")).to_have_text("4")

    press_and_wait(other, "3")  # it was on screen already; those behind it that were answered are gone
    expect(banner).to_contain_text("2 of your answers were not taken, “odd” the last")
    given.append((press_and_wait(other, "2"), "bad"))
    eventually(other, lambda: sorted(answers(service, project)), sorted(given))
    expect(other.page.locator("#mine-count")).to_have_text("5")
    expect(banner).to_contain_text("2 of your answers")
    other.page.get_by_role("button", name="Close").click()
    expect(banner).to_be_hidden()
    assert watched.page.locator("#banner").is_hidden()
    assert watched.complaints == other.complaints == []


def test_a_skip_of_what_another_tab_answered_is_told(service, watched):
    """The answer stays, and the page says that it was the skip that was not taken."""
    project = service.project(items=4)
    other = another_tab(service, watched, project, "Yan")
    given = [(press_and_wait(watched, "1"), "good")]
    eventually(watched, lambda: answers(service, project), given)
    press_and_wait(other, "s")
    expect(other.page.locator("#banner")).to_contain_text("A skip was not taken: you answered it")
    assert answers(service, project) == given


def test_leases_are_renewed_while_the_page_is_open(service, watched):
    """A person may think longer than a lease lasts."""
    project = service.project(items=2, lease={"seconds": 3})
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project, subject="thinker"))
    expect(watched.page.locator("#item .text")).to_be_visible()
    watched.page.wait_for_timeout(5000)
    service.ports.ledger.expire(project, service.ports.clock.now())
    assert len(service.ports.ledger.held(project, "thinker", service.ports.clock.now())) == 2
    watched.page.keyboard.press("1")
    eventually(watched, lambda: len(answers(service, project)), 1)


def test_a_revoked_key_signs_out_and_keeps_the_answers(service, watched):
    """What could not be sent goes out when the same person signs in again."""
    project = service.project(items=8)
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project, subject="Eve"))
    expect(watched.page.locator("#item .text")).to_be_visible()
    watched.page.route("**/annotations", lambda route: route.fulfill(status=401, json={"detail": "Nobody knows."}))
    item = press_and_wait(watched, "2")
    expect(watched.page.get_by_role("alert")).to_contain_text("Your answers are kept")
    watched.page.unroute("**/annotations")
    watched.page.get_by_label("Key").fill(service.key(project=project, subject="Eve"))
    watched.page.keyboard.press("Enter")
    eventually(watched, lambda: answers(service, project), [(item, "bad")])


def test_a_person_with_several_projects_chooses(service, watched):
    """The choice is offered first, and can be changed later; the address remembers it."""
    one, two = service.project("walk-one", items=4, title="Walks"), service.project("walk-two", items=4, title="Talks")
    watched.hurry()
    watched.sign_in(service.url, service.key())
    watched.page.get_by_role("button", name="Talks").click()
    expect(watched.page.locator("#item .text")).to_be_visible()
    assert watched.page.url.endswith(f"#{two}")
    watched.page.get_by_label("Project").select_option(one)
    expect(watched.page).to_have_title(re.compile("Walks"))
    expect(watched.page.locator("#item .text")).to_be_visible()
    press_and_wait(watched, "1")
    eventually(watched, lambda: (len(answers(service, one)), len(answers(service, two))), (1, 0))


def instructed(service: Service, words: str, *, items: int = 6) -> str:
    """A project whose annotators are to read something before they start."""
    labels = {"kind": "classes", "classes": ["good", "bad", "odd"], "instructions": words}
    return service.project(items=items, labels=labels)


def test_instructions_are_open_until_the_first_answer_and_a_key_away_after(service, watched):
    """Who starts reads them without a click; later, and after a reload, they are closed until asked for."""
    project = instructed(service, "Good is what you would wear a shirt in.")
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project))
    words = watched.page.get_by_text("Good is what you would wear a shirt in.")
    expect(watched.page.locator("#item .text")).to_be_visible()
    expect(words).to_be_visible()
    press_and_wait(watched, "s")
    expect(words).to_be_visible()
    press_and_wait(watched, "1")
    expect(words).to_be_hidden()
    watched.page.keyboard.press("?")
    expect(words).to_be_visible()
    press_and_wait(watched, "1")
    expect(words).to_be_visible()
    watched.page.keyboard.press("?")
    expect(words).to_be_hidden()
    watched.page.reload()
    expect(watched.page.locator("#item .text")).to_be_visible()
    expect(words).to_be_hidden()
    watched.page.get_by_text("Instructions").click()
    expect(words).to_be_visible()
    assert watched.complaints == []


def test_instructions_that_were_closed_stay_closed_for_this_person_and_project(service, watched):
    """Closed without an answer, they are closed after a reload; another project and another person see theirs open."""
    first, second = instructed(service, "First words."), instructed(service, "Second words.")
    watched.page.goto(f"{service.url}/#{first}")
    watched.page.get_by_label("Key").fill(service.key(subject="Uma"))
    watched.page.keyboard.press("Enter")
    expect(watched.page.get_by_text("First words.")).to_be_visible()
    watched.page.get_by_text("Instructions").click()
    expect(watched.page.get_by_text("First words.")).to_be_hidden()
    watched.page.reload()
    expect(watched.page.locator("#item .text")).to_be_visible()
    expect(watched.page.get_by_text("First words.")).to_be_hidden()
    watched.page.get_by_label("Project").select_option(second)
    expect(watched.page.get_by_text("Second words.")).to_be_visible()
    watched.page.get_by_label("Project").select_option(first)
    expect(watched.page.locator("#instructions p")).to_have_text("First words.")
    expect(watched.page.get_by_text("First words.")).to_be_hidden()
    watched.page.get_by_role("button", name="Sign out").click()
    watched.page.get_by_label("Key").fill(service.key(subject="Vic"))
    watched.page.keyboard.press("Enter")
    expect(watched.page.get_by_text("First words.")).to_be_visible()


def test_instructions_that_changed_are_open_again(service, watched):
    """What was read was another text."""
    project = instructed(service, "The old words.")
    said = ["The old words."]

    def reworded(route: Any) -> None:
        view = route.fetch().json()
        view["labels"]["instructions"] = said[0]
        route.fulfill(json=view)

    watched.page.route(f"**/v1/projects/{project}", reworded)
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    press_and_wait(watched, "1")
    expect(watched.page.get_by_text("The old words.")).to_be_hidden()
    said[0] = "The new words."
    watched.page.reload()
    expect(watched.page.get_by_text("The new words.")).to_be_visible()
    watched.page.unroute_all(behavior="wait")


def test_without_storage_instructions_are_open_at_first(service, watched):
    """Each time the page is opened; labeling goes on as ever."""
    project = instructed(service, "Read me.")
    watched.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } });"
    )
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project))
    for answered in (1, 2):
        expect(watched.page.get_by_text("Read me.")).to_be_visible()
        expect(watched.page.locator("#item .text")).to_be_visible()
        press_and_wait(watched, "1")
        expect(watched.page.get_by_text("Read me.")).to_be_hidden()
        eventually(watched, lambda wanted=answered: len(answers(service, project)) == wanted, wanted=True)
        watched.page.reload()
    assert watched.complaints == []


def test_projects_of_one_title_are_told_apart_by_their_names(service, watched):
    """A name stands beside a title that differs from it; in the narrow bar only where titles are the same."""
    one, two = service.project("mails", items=2, title="Mails"), service.project("mails-copy", items=2, title="Mails")
    same = service.project("letters", items=2)
    service.project("bills-2", items=2, title="Bills")
    watched.sign_in(service.url, service.key())
    choices = watched.page.locator("#choices button")
    for name in (one, two):
        expect(choices.filter(has_text=re.compile(rf"^Mails\s*{name}$"))).to_be_visible()
    expect(choices.filter(has_text=re.compile(rf"^{same}$"))).to_be_visible()
    watched.page.get_by_role("button", name=two).click()
    expect(watched.page.locator("#item .text")).to_be_visible()
    assert watched.page.url.endswith(f"#{two}")
    expect(watched.page.locator("#projects option:checked")).to_have_text("mails-copy (Mails)")
    expect(watched.page.locator("#projects option", has_text=same)).to_have_text(same)
    expect(watched.page.locator("#projects option", has_text="Bills")).to_have_text("Bills")


def test_rows_of_grey_values_are_drawn(service, watched):
    """Each value is one pixel of the canvas, white at the project's maximum."""
    project = service.project(
        items=[
            {"key": "a", "data": {"image": [[0, 16], [8, 0]]}},
            {"key": "b", "data": {"image": [[16, 16], [16, 0]]}},
        ],
        items_section={"kind": "image", "field": "image"},
        features={"kind": "pixels", "field": "image", "maximum": 16.0},
        labels={"kind": "classes", "classes": ["light", "dark"]},
    )
    watched.sign_in(service.url, service.key(project=project))
    canvas = watched.page.locator("#item canvas")
    expect(canvas).to_be_visible()
    pixels = canvas.evaluate("c => [...c.getContext('2d').getImageData(0, 0, 2, 2).data].filter((_, i) => i % 4 === 0)")
    assert pixels in ([0, 255, 128, 0], [255, 255, 255, 0])
    assert canvas.bounding_box()["width"] > 100
    assert watched.complaints == []


def png() -> bytes:
    """A picture of 3 by 2 pixels."""

    def part(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + bytes([40, 120, 220]) for _ in range(2))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def test_pictures_by_path_are_fetched_with_the_key_and_missing_ones_are_told(service, watched):
    """A picture below the root is shown from a blob; one that is not there says so, and can be skipped."""
    (service.settings.item_roots[0] / "a.png").write_bytes(png())
    project = service.project(
        items=[{"key": name, "data": {"text": name, "image": f"{name}.png"}} for name in ("a", "gone")],
        items_section={"kind": "image", "field": "image"},
    )
    watched.sign_in(service.url, service.key(project=project))
    state = (
        "() => document.querySelector('#item img')?.naturalWidth || document.querySelector('#item .trouble')?.innerText"
    )
    seen = []
    for _ in range(2):
        seen.append(watched.page.wait_for_function(state).json_value())
        if seen[-1] == 3:
            assert watched.page.locator("#item img").get_attribute("src").startswith("blob:")
        watched.page.evaluate("document.querySelector('#item').firstElementChild.dataset.old = '1'")
        watched.page.keyboard.press("s")
        expect(watched.page.locator("#item [data-old]")).to_be_hidden()
    width, trouble = sorted(seen, key=str)
    assert width == 3
    assert "cannot be shown" in trouble


def test_a_table_shows_every_field(service, watched):
    """Names and values, numbers short; an empty value says so."""
    row = {"radius": 12.3456789, "count": 7, "site": "left", "none": None, "note": "", "rest": " \n"}
    project = service.project(
        items=[{"key": "r", "data": row}],
        items_section={"kind": "table"},
        features={"kind": "columns", "columns": ["radius", "count"]},
    )
    watched.sign_in(service.url, service.key(project=project))
    rows = watched.page.locator("#item dl div")
    expect(rows).to_have_count(6)
    shown = ["radius\n12.3457", "count\n7", "site\nleft", "none\n—", "note\n(empty)", "rest\n(empty)"]
    assert rows.all_inner_texts() == shown


@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b\ufeff"])
def test_an_empty_text_is_no_blank_card(service, watched, text):
    """Nothing to see is said, in a style that sets it apart from a text that says so; it can be labeled."""
    items = [{"key": "none", "data": {"text": text}}, {"key": "said", "data": {"text": "(empty)"}}]
    project = service.project(items=items)
    watched.hurry()
    watched.sign_in(service.url, service.key(project=project))
    shown = watched.page.locator("#item .text")
    styles = set()
    for _ in items:
        expect(shown).to_have_text("(empty)")
        styles.add(shown.evaluate("p => getComputedStyle(p.firstElementChild ?? p).fontStyle"))
        shown.evaluate("p => { p.dataset.old = '1'; }")
        watched.page.keyboard.press("1")
        expect(watched.page.locator("#item [data-old]")).to_be_hidden()
    assert styles == {"italic", "normal"}
    eventually(watched, lambda: sorted(answers(service, project)), [("none", "good"), ("said", "good")])


def test_the_page_can_be_used_without_a_pointer_and_by_ear(service, watched):
    """Buttons say what they do, answers are announced, the item can take the focus."""
    project = service.project(items=6)
    watched.sign_in(service.url, service.key(project=project))
    expect(watched.page.locator("#item .text")).to_be_visible()
    press_and_wait(watched, "1")
    expect(watched.page.locator("#said")).to_have_text("Answered: good")
    assert watched.page.locator("#said").get_attribute("aria-live") == "polite"
    expect(watched.page.locator("#item")).to_be_focused()
    unnamed = "es => es.filter(e => !e.hidden && !e.textContent.trim() && !e.labels?.length && !e.ariaLabel).length"
    assert watched.page.locator("button, input, select").evaluate_all(unnamed) == 0
    assert watched.page.locator("#classes button >> nth=0").get_attribute("aria-keyshortcuts") == "1"


def someone(service: Service, project: str, label: str | None) -> None:
    """A new annotator labels the one item of a project, or skips it."""
    base = f"/v1/projects/{project}"
    with service.http() as http:
        lease = http.post(f"{base}/leases", json={"count": 1}).json()["leases"][0]["lease"]
        if label is None:
            http.post(f"{base}/leases/skip", json={"leases": [lease]}).raise_for_status()
        else:
            body = {"annotations": [{"lease": lease, "label": label}]}
            http.post(f"{base}/annotations", json=body).raise_for_status()


DISPUTED = "Annotators disagree about this item. Your answer decides."


def test_what_the_model_says_is_marked_where_the_project_shows_it(service, watched):
    """The model's class is marked as suggested, and chosen by nobody; another one is answered all the same."""
    items = [{**text_item(number), "label": ("good", "bad")[number % 2]} for number in range(20)]
    rest = [text_item(number) for number in range(20, 26)]
    lanes = {"informative": 1.0, "minority": 0.0, "audit": 0.0}
    name = service.project(items=items + rest, lease={"predictions": True}, lanes=lanes)
    job = request_training(service.ports, name).id
    promote_by_hand(service.ports, name, train(service.ports, name, job, lambda *_: None).number, by="me")
    service.plan(name)
    watched.hurry()
    watched.sign_in(service.url, service.key(project=name))
    guess = watched.page.locator(".classes button.guess")
    expect(guess).to_have_count(1)
    expect(guess).to_have_attribute("value", re.compile("good|bad"))
    answered = press_and_wait(watched, "3")
    expect(guess).to_have_count(1)
    eventually(watched, lambda: (answered, "odd") in answers(service, name), wanted=True)
    assert watched.complaints == []


def test_a_reviewer_is_told_that_the_answer_decides(service, watched):
    """Two annotators disagree; the reviewer sees the item first, with a note, and settles it."""
    project = service.project(items=1, votes={"needed": 2, "cap": 2})
    for label in ("good", "bad"):
        someone(service, project, label)
    tend(service.ports, project)
    watched.hurry()
    watched.sign_in(service.url, service.key(Role.REVIEWER, project=project))
    expect(watched.page.locator("#item .note")).to_have_text(DISPUTED)
    watched.page.keyboard.press("3")
    eventually(watched, lambda: len(answers(service, project)), 3)
    tend(service.ports, project)
    assert service.ports.pool.find(project, "k0").label == "odd"


@pytest.mark.parametrize(
    "labels, words",
    [
        ([None, None], "2 annotators skipped this item. Your answer decides."),
        (["good", None, None], "2 annotators skipped this item. Your answer decides."),
        (["good", "bad", None, None], "Annotators disagree about this item, and 2 skipped it. Your answer decides."),
    ],
)
def test_a_reviewer_is_told_of_skips(service, watched, labels, words):
    """What came by skips is not called a disagreement."""
    project = service.project(items=1, votes={"needed": 3, "cap": 4}, lease={"skips_to_review": 2})
    for label in labels:
        someone(service, project, label)
    watched.sign_in(service.url, service.key(Role.REVIEWER, project=project))
    expect(watched.page.locator("#item .note")).to_have_text(words)
    assert watched.complaints == []


def test_a_reviewer_is_told_nothing_false_where_nothing_can_be_known(service, watched):
    """Without the item's history the note says what is true of every review."""
    project = service.project(items=1, lease={"skips_to_review": 1})
    someone(service, project, None)
    watched.page.route("**/history", lambda route: route.abort())
    watched.sign_in(service.url, service.key(Role.REVIEWER, project=project))
    note = "This item was disputed or skipped. Your answer decides."
    expect(watched.page.locator("#item .note")).to_have_text(note)


def test_a_project_that_needs_an_editor_says_so(service, watched):
    """A Label Studio configuration is not for this page, and nothing is leased."""
    config = '<View><Text name="t" value="$text"/><Labels name="c" toName="t"><Label value="a"/></Labels></View>'
    project = service.project(items=2, labels={"kind": "label_studio", "config": config})
    watched.sign_in(service.url, service.key(project=project, subject="editor"))
    expect(watched.page.locator("#waiting-title")).to_have_text("This project needs an editor")
    assert service.ports.ledger.held(project, "editor", service.ports.clock.now()) == []
