"""What `labelloop project delete` asks before, and says afterwards."""

import sys

from labelloop.cli import console
from labelloop.domain.errors import Invalid
from labelloop.domain.types import Extent
from labelloop.loop.delete import Deletion, Wait

_LEFT = {
    Wait.ROWS: "It was not finished",
    Wait.CACHES: "It was not finished",
    Wait.JOBS: "A worker is in the middle of one of its jobs, so its files are there until that has ended",
}


def asked(name: str, extent: Extent) -> None:
    """Show what would go, and have the name typed.

    Raises:
        Invalid: nobody is there to be asked, or typed something else; nothing was deleted.
    """
    if not sys.stdin.isatty():
        raise Invalid(
            f"Nobody is there to be asked whether {name} may be deleted, with {counted(extent)}. Add --yes if it may."
        )
    console.note(f"This deletes {name} for good: {counted(extent)}. To keep the labels: labelloop export {name}")
    sys.stderr.write("Type the name of the project to delete it: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        raise Invalid(f"That is not {name}. Nothing was deleted.")


def told(done: Deletion) -> None:
    """Say what went, and what is left to do."""
    if done.waits_for in {None, Wait.REDIS}:
        console.say(f"Deleted {done.project}: {counted(done.went)}. Its name is free.")
        if done.waits_for is Wait.REDIS:
            console.note("Redis does not answer. What it may hold of the project goes when the service is up again.")
        return
    console.say(f"{done.project} is being deleted, and unknown from now on: {counted(done.went)}.")
    console.note(
        f"{_LEFT[Wait(done.waits_for)]}. The steward goes on with it, or run this again; then its name is free."
    )


def counted(extent: Extent) -> str:
    """`3 items, 1 answer, 2 models`, and keys where there are any."""
    parts = [(extent.items, "item"), (extent.annotations, "answer"), (extent.models, "model")]
    if extent.keys:
        parts.append((extent.keys, "key"))
    return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in parts)
