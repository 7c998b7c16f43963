"""Numeric threads of a worker."""

import os
import subprocess
import sys

CODE = """
import sys
from labelloop_workers import process
process.prepare("trainer")
assert "numpy" not in sys.modules, "numpy was loaded before its threads were set"
import numpy, scipy.linalg
from threadpoolctl import threadpool_info
print({pool["num_threads"] for pool in threadpool_info()})
"""


def test_threads_are_pinned_before_numpy_is_loaded() -> None:
    """BLAS reads its thread count once, when it is loaded: by then the setting must be in force."""
    env = os.environ | {"LABELLOOP_THREADS": "1"}
    out = subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "{1}"
