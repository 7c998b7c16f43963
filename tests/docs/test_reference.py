"""The documentation cannot drift: reference pages equal what the code says, links lead somewhere, examples run."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from labelloop.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = generator()


@pytest.mark.parametrize("name", list(GENERATE.PAGES))
def test_a_reference_page_says_what_the_code_says(name):
    """A setting, command, strategy, error, metric, call or key that is new or gone shows here: run `make docs`."""
    assert (ROOT / "docs" / "reference" / name).read_text() == GENERATE.PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("name", [name for name in GENERATE.PAGES if name.endswith(".md")])
def test_nothing_is_undocumented(name):
    """Every row of a reference table has a meaning."""
    empty = [line for line in GENERATE.PAGES[name]().splitlines() if re.search(r"\|\s*\|\s*$", line)]
    assert empty == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    """Relative links and pictures exist."""
    broken = []
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", page.read_text()):
        path = target[0] or target[1]
        if not path.startswith(("http://", "https://", "mailto:")) and not (page.parent / path).exists():
            broken.append(path)
    assert broken == []


def test_the_words_of_the_workshop_stay_out():
    """Pages speak of the project alone."""
    for page in PAGES:
        assert "/work/" not in page.read_text(), page


def commands():
    """Every `labelloop …` command line in a fenced block of any page."""
    for page in PAGES:
        for block in re.findall(r"```(?:console|sh|bash|)\n(.*?)```", page.read_text(), re.DOTALL):
            for typed in block.replace("\\\n", " ").splitlines():
                line = re.sub(r"^(\$ )?(\w+=\S+ )*(\.venv/bin/)?", "", typed.strip())
                if line.startswith("labelloop "):
                    yield pytest.param(line.split(" #")[0], id=f"{page.name}: {line[:50]}")


@pytest.mark.parametrize("line", list(commands()))
def test_documented_commands_exist_with_these_options(line):
    """A command line in the docs parses: the command, its arguments and its options are real."""
    from typer.main import get_command

    from labelloop.cli.app import app

    words = shlex.split(re.split(r"\s[|>&]", line)[0])[1:]
    command, context = get_command(app), None
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, line
        command, words = command.commands[words[0]], words[1:]
    if "--help" not in words and "-h" not in words:
        context = command.make_context(command.name, list(words), resilient_parsing=False)
        assert context is not None


def test_the_example_environment_names_only_real_settings():
    """configs/service.env is a true example."""
    text = (ROOT / "configs" / "service.env").read_text()
    named = set(re.findall(r"^#?\s*(LABELLOOP_[A-Z_]+)=", text, re.MULTILINE))
    assert named == {f"LABELLOOP_{field.upper()}" for field in Settings.model_fields}
