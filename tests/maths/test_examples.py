"""The examples in the maths are executed."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

from labelloop import maths

MODULES = sorted(module.name for module in pkgutil.iter_modules(maths.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    """Every example in a maths docstring gives what it says."""
    module = importlib.import_module(f"labelloop.maths.{name}")
    result = doctest.testmod(module, extraglobs={"np": np})
    assert result.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_have_an_example(name):
    """A public function of the maths without a runnable example fails here."""
    module = importlib.import_module(f"labelloop.maths.{name}")
    public = [
        thing
        for label, thing in vars(module).items()
        if callable(thing) and not label.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]
    functions = [thing for thing in public if not isinstance(thing, type)]
    own = functions or public  # a module of classes shows those
    assert own
    assert not [thing.__name__ for thing in own if ">>>" not in (thing.__doc__ or "")]
