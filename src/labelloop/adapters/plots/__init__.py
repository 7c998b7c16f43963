"""Pictures by matplotlib, without a display: learning curves of a simulation, the report of a demo, maps of pools."""

from labelloop.adapters.plots.curves import learning_curves
from labelloop.adapters.plots.demo import Annotator, DemoReport, Reached, Series, demo_report
from labelloop.adapters.plots.pool import pool_map

__all__ = ["Annotator", "DemoReport", "Reached", "Series", "demo_report", "learning_curves", "pool_map"]
