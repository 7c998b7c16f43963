"""Where files that items name may lie; the rule itself is `labelloop.disk.roots`, which features obey too."""

from labelloop.disk.roots import resolve_below

__all__ = ["resolve_below"]
