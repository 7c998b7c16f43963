"""Which files items may name: only what lies, links followed, below a folder the operator allowed."""

from collections.abc import Sequence
from pathlib import Path

from labelloop.domain.errors import Invalid

_SHOWN = 200
"""Characters of a path that an error repeats."""


def resolve_below(roots: Sequence[Path], path: str) -> Path:
    """The real path of a file below one of the allowed folders.

    A relative path is looked up below each root in turn; an absolute one has to lie below one of them. Links are
    followed before the check, so a link that leads out is refused like any other way out.

    Raises:
        Invalid: no root is allowed, the path leads out of them, or there is no such file.
    """
    shown = repr(path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…")
    if not roots:
        raise Invalid(
            f"{shown}: items may not name files here. Allow a folder with LABELLOOP_ITEM_ROOTS='[\"/a/folder\"]'."
        )
    if not path.strip() or "\0" in path:
        raise Invalid(f"{shown} is not the path of a file.")
    inside = False
    for root in roots:
        try:
            found = _below(root, path)
            if found is None:
                continue
            inside = True
            if found.is_file():
                return found
        except (OSError, RuntimeError, ValueError):
            continue  # a missing root, a circle of links, a name that is too long or that no file can have
    if inside:
        raise Invalid(f"{shown}: there is no such file below {_listed(roots)}. Put it there, or correct the item.")
    raise Invalid(f"{shown} leads out of the allowed folders ({_listed(roots)}). Name a file below one of them.")


def _below(root: Path, path: str) -> Path | None:
    """Where the path leads from this root, links followed; None when that is outside."""
    home = root.resolve(strict=True)
    found = (home / path).resolve()
    return found if found.is_relative_to(home) else None


def _listed(roots: Sequence[Path]) -> str:
    return ", ".join(str(root) for root in roots)
