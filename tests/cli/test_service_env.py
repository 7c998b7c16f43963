"""The example of all settings cannot drift from the settings."""

import re
from pathlib import Path

import pytest

from labelloop.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "configs" / "service.env"


def _named() -> dict[str, str]:
    return dict(re.findall(r"^# (LABELLOOP_[A-Z_]+)=(.*)$", EXAMPLE.read_text(), flags=re.MULTILINE))


def test_every_setting_is_in_the_example() -> None:
    """No setting is missing there, and none is there that does not exist."""
    assert set(_named()) == {f"LABELLOOP_{name.upper()}" for name in Settings.model_fields}


def test_the_example_shows_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown for a setting that has a default is that default."""
    monkeypatch.delenv("LABELLOOP_DATA", raising=False)
    plain = Settings()
    for name, field in Settings.model_fields.items():
        if field.default not in (None, ()):
            shown = _named()[f"LABELLOOP_{name.upper()}"]
            monkeypatch.setenv(f"LABELLOOP_{name.upper()}", shown)
            assert getattr(Settings(), name) == getattr(plain, name), name
