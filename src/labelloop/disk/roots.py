"""Which files items may name: only what lies, links followed, below a folder the operator allowed."""

from collections.abc import Sequence
from pathlib import Path

from labelloop.domain.errors import Invalid


def resolve_below(roots: Sequence[Path], path: str) -> Path:
    """The real path of a file below one of the allowed folders.

    A relative path is looked up below each root in turn; an absolute one has to lie below one of them. Links are
    followed before the check, so a link that leads out is refused like any other way out.

    Raises:
        Invalid: no root is allowed, the path leads out of them, or there is no such file.
    """
    if not roots:
        raise Invalid(
            f"{path!r}: items may not name files here. Allow a folder with LABELLOOP_ITEM_ROOTS='[\"/a/folder\"]'."
        )
    if not path.strip() or "\0" in path:
        raise Invalid(f"{path!r} is not the path of a file.")
    inside = False
    for root in roots:
        found = _below(root, path)
        if found is None:
            continue
        inside = True
        if found.is_file():
            return found
    if inside:
        raise Invalid(f"{path!r}: there is no such file below {_listed(roots)}. Put it there, or correct the item.")
    raise Invalid(f"{path!r} leads out of the allowed folders ({_listed(roots)}). Name a file below one of them.")


def _below(root: Path, path: str) -> Path | None:
    try:
        home = root.resolve(strict=True)
        found = (home / path).resolve()
    except (OSError, RuntimeError, ValueError):  # a missing root, a circle of links, a name too long or not encodable
        return None
    return found if found.is_relative_to(home) else None


def _listed(roots: Sequence[Path]) -> str:
    return ", ".join(str(root) for root in roots)
