"""Turning items into rows of numbers, kept in files by shard."""
