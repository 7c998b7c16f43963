"""Which files an item may name: nothing outside the allowed folders, whatever the spelling."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.disk.roots import resolve_below
from labelloop.domain.errors import Invalid

PARTS = st.sampled_from(["..", ".", "a", "b", "link", "out", "secret", "deep", "", "...", "~", "%2e%2e", "a\\b", "\0"])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two roots with files, and links that stay inside and that lead out."""
    base = tmp_path_factory.mktemp("tree").resolve()
    for path in ("one/a/deep/b", "one/a/b", "two/b", "secret/b", "secret/secret"):
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_text("x")
    (base / "one" / "link").symlink_to(base / "one" / "a")
    (base / "one" / "out").symlink_to(base / "secret")
    (base / "one" / "circle").symlink_to(base / "one" / "circle")
    (base / "entry").symlink_to(base / "two")
    return base


@settings(deadline=None, max_examples=300)
@given(parts=st.lists(PARTS, min_size=1, max_size=7), absolute=st.sampled_from(["", "/", "one", "secret", "two"]))
def test_no_spelling_leads_out(tree: Path, parts: list[str], absolute: str) -> None:
    """Whatever is put together of dots, links and absolute beginnings, the file found lies below a root."""
    roots = [tree / "one", tree / "entry"]
    beginning = absolute if absolute in ("", "/") else f"{tree / absolute}/"
    try:
        found = resolve_below(roots, beginning + "/".join(parts))
    except Invalid:
        return
    assert found.is_file()
    assert found == found.resolve()
    assert found.is_relative_to(tree / "one") or found.is_relative_to(tree / "two")
    assert not found.is_relative_to(tree / "secret")


@pytest.mark.parametrize(
    "path, expected", [("a/b", "one/a/b"), ("link/b", "one/a/b"), ("b", "two/b"), ("a/../a/deep/b", "one/a/deep/b")]
)
def test_files_below_a_root_are_found(tree: Path, path: str, expected: str) -> None:
    """Plain paths, links that stay inside, and roots that are links themselves work; roots are tried in turn."""
    assert resolve_below([tree / "one", tree / "entry"], path) == tree / expected
    assert resolve_below([tree / "entry", tree / "one"], str(tree / expected)) == tree / expected


@pytest.mark.parametrize(
    "path, reason",
    [
        ("../secret/b", "leads out"),
        ("out/b", "leads out"),
        ("/etc/passwd", "leads out"),
        ("a", "no such file"),
        ("nothing", "no such file"),
        ("circle", "leads out|no such file"),
        ("a\0b", "not the path"),
        (" ", "not the path"),
        ("n" * 5_000, "leads out|no such file"),
        ("\udc80", "no such file|leads out"),
    ],
)
def test_all_else_is_refused_with_the_reason(tree: Path, path: str, reason: str) -> None:
    """The error tells a way out of the roots from a file that is merely missing."""
    with pytest.raises(Invalid, match=reason):
        resolve_below([tree / "one"], path)


def test_without_roots_the_error_names_the_setting(tree: Path) -> None:
    """By default no file is readable, and the operator learns how to allow some."""
    with pytest.raises(Invalid, match="LABELLOOP_ITEM_ROOTS"):
        resolve_below([], str(tree / "one/a/b"))
    with pytest.raises(Invalid, match="leads out"):
        resolve_below([tree / "gone"], "a/b")
