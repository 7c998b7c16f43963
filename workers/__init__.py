"""Processes: which queue, which worker class, which signals, what stays warm. Everything else is labelloop's."""
