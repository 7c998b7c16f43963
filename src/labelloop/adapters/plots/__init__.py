"""Pictures by matplotlib, without a display: learning curves of a simulation, and the report of a demo run."""

from labelloop.adapters.plots.curves import learning_curves
from labelloop.adapters.plots.demo import Annotator, DemoReport, Reached, Series, demo_report

__all__ = ["Annotator", "DemoReport", "Reached", "Series", "demo_report", "learning_curves"]
