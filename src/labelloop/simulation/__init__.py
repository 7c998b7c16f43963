"""Replays the loop on a labeled set, in-process, with the production code of choosing and training."""
