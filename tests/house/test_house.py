"""The house rules that a machine can check: sizes, packages, sentences on tests, no pickle, nothing undocumented."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "workers").glob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def relative(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*SOURCES, *sorted((ROOT / "benchmarks").glob("*.py"))], ids=relative)
def test_no_module_is_over_500_lines(path):
    """A module has one subject."""
    assert len(path.read_text().splitlines()) <= 500


@pytest.mark.parametrize("path", sorted((ROOT / "workers").glob("*.py")), ids=relative)
def test_a_process_is_short(path):
    """workers/ starts, stops and keeps warm; the rest is elsewhere."""
    assert len(path.read_text().splitlines()) <= 80


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_every_test_has_a_sentence(path):
    """What a test proves is said in its docstring."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert [node.name for node in functions if not ast.get_docstring(node)] == []


def test_the_wheel_holds_every_package():
    """The list of packages in pyproject.toml is the list of folders."""
    folders = {".".join(path.parent.relative_to(ROOT / "src").parts) for path in (ROOT / "src").rglob("__init__.py")}
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == folders | {"labelloop_workers"}


def test_nothing_is_ever_unpickled():
    """What came from users or a network is read by skops, safetensors and JSON only."""
    offenders = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if {"pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"} & {
                name.split(".")[0] for name in names
            }:
                offenders.append(relative(path))
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and getattr(node.value, "value", True):
                offenders.append(relative(path))
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load":
                offenders.append(relative(path))
    assert offenders == []


def test_the_command_line_starts_fast():
    """`labelloop --help` loads no numeric library: people type it often."""
    code = (
        "import sys, labelloop.cli\n"
        "heavy = {'torch', 'sklearn', 'matplotlib', 'sqlalchemy', 'fastapi'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
