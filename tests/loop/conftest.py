"""Fixtures of the loop's tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from conftest_loop import clock, ports, redis_url

__all__ = ["clock", "ports", "redis_url"]
