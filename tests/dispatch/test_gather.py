"""Many who call at the same time are worked on together, and nobody pays for another."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from labelloop.api.gather import MOST_ITEMS, Gather
from labelloop.domain.errors import Unavailable, UnknownProject


class Verb:
    """Notes its groups; the first one waits, so that the others gather behind it."""

    def __init__(self, work: Callable[[str], object] = str.upper) -> None:
        self.groups: list[tuple[str, list[str]]] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self._work = work

    def __call__(self, project: str, wishes: Sequence[str]) -> list[object]:
        self.groups.append((project, list(wishes)))
        self.begun.set()
        self.go_on.wait(10)
        return [self._work(wish) for wish in wishes]


def gathered(verb: Verb, *wishes: str | tuple[str, str], items: int = 1) -> list[object]:
    """What each is answered when "first" is under way and all others come meanwhile; a wish may name its project."""

    async def run() -> list[object]:
        gather = Gather(verb)
        asked = [("p", wish) if isinstance(wish, str) else wish for wish in wishes]
        first = asyncio.create_task(gather.ask("p", "first", items=1))
        assert await asyncio.to_thread(verb.begun.wait, 10)
        others = [asyncio.create_task(gather.ask(project, wish, items=items)) for project, wish in asked]
        await asyncio.sleep(0)
        verb.go_on.set()
        found = await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 10)
        await asyncio.wait_for(first, 10)
        return found

    return asyncio.run(run())


def test_those_who_come_while_a_group_is_worked_on_are_the_next_one():
    """One call of the verb for all of them; each gets the answer to its own wish."""
    verb = Verb()
    assert gathered(verb, "a", "b", "c") == ["A", "B", "C"]
    assert verb.groups == [("p", ["first"]), ("p", ["a", "b", "c"])]


def test_an_error_among_the_answers_is_its_callers_alone():
    """The others of its group get their answers."""
    verb = Verb(lambda wish: Unavailable("not now") if wish == "b" else wish)
    one, two, three = gathered(verb, "a", "b", "c")
    assert (one, three) == ("a", "c")
    assert isinstance(two, Unavailable)


def test_who_breaks_the_verb_is_the_only_one_to_suffer():
    """An error that nobody foresaw: each is tried alone, and only the culprit gets it."""

    def work(wish: str) -> str:
        if wish == "poison":
            raise RecursionError("too deep")
        return wish

    verb = Verb(work)
    one, two, three = gathered(verb, "a", "poison", "c")
    assert (one, three) == ("a", "c")
    assert isinstance(two, RecursionError)
    assert [wishes for _, wishes in verb.groups[1:]] == [["a", "poison", "c"], ["a"], ["poison"], ["c"]]


def test_a_store_that_is_away_is_asked_once_for_all():
    """Each learns that it does not answer; it is not asked again for every one of them."""

    def work(wish: str) -> str:
        if wish == "first":
            return wish
        raise Unavailable("the store is away")

    verb = Verb(work)
    assert all(isinstance(answer, Unavailable) for answer in gathered(verb, "a", "b"))
    assert len(verb.groups) == 2


def test_too_few_answers_are_nobodys_answers():
    """A verb that answers less than it was asked is broken: an error for the one concerned, no hang, no mix-up."""

    def verb(_: str, wishes: Sequence[str]) -> list[str]:
        return [wish for wish in wishes if wish != "b"]

    async def run() -> list[object]:
        gather = Gather(verb)
        asked = [gather.ask("p", wish, items=1) for wish in "abc"]
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)

    one, two, three = asyncio.run(run())
    assert (one, three) == ("a", "c")
    assert isinstance(two, ValueError)


def test_projects_do_not_share_their_troubles():
    """Calls about an unknown project fail; those about others in the same group do not."""

    def verb(project: str, wishes: Sequence[str]) -> list[str]:
        if project == "nowhere":
            raise UnknownProject(project, [])
        return [f"{project}:{wish}" for wish in wishes]

    async def run() -> list[object]:
        gather = Gather(verb)
        asked = [gather.ask(project, "x", items=1) for project in ("here", "nowhere", "there")]
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)

    one, two, three = asyncio.run(run())
    assert (one, three) == ("here:x", "there:x")
    assert isinstance(two, UnknownProject)


def test_a_caller_who_goes_away_holds_nobody_up():
    """Its wish is worked on with the others', its answer is for nobody, and the next calls are served."""

    async def run() -> list[object]:
        verb = Verb()
        gather = Gather(verb)
        first = asyncio.create_task(gather.ask("p", "first", items=1))
        assert await asyncio.to_thread(verb.begun.wait, 10)
        gone, stays = (asyncio.create_task(gather.ask("p", wish, items=1)) for wish in ("gone", "stays"))
        await asyncio.sleep(0)
        gone.cancel()
        first.cancel()  # in the midst of the work
        verb.go_on.set()
        found = [await asyncio.wait_for(stays, 10), await asyncio.wait_for(gather.ask("p", "later", items=1), 10)]
        with pytest.raises(asyncio.CancelledError):
            await gone
        return found

    assert asyncio.run(run()) == ["STAYS", "LATER"]


def test_a_group_is_bounded_by_its_items_and_one_large_call_still_goes():
    """Nobody waits behind more than so many items; nothing is left behind."""
    verb = Verb()
    wishes = [f"w{at}" for at in range(7)]
    assert gathered(verb, *wishes, items=MOST_ITEMS // 3) == [wish.upper() for wish in wishes]
    assert [len(group) for _, group in verb.groups[1:]] == [3, 3, 1]
    huge = Verb()
    assert gathered(huge, "a", "b", items=MOST_ITEMS * 2) == ["A", "B"]
    assert [len(group) for _, group in huge.groups[1:]] == [1, 1]
