"""An active-learning labeling service."""
