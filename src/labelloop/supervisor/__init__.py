"""Everything in one command: starts Redis, the API and the workers, restarts what dies, and leaves no orphan.

What the processes do is theirs; here is only who runs, since when, and in which order it ends.
"""

from labelloop.supervisor.house import Counts, House, Ready

__all__ = ["Counts", "House", "Ready"]
