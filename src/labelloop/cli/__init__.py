"""The door for people: every command of `labelloop`, acting on the store directly.

Commands translate words into verbs of the loop and their answers into tables or JSON. What goes wrong on purpose is
one red sentence on standard error and an exit code from the table in `console`, never a traceback.
"""

import sys


def main() -> None:
    """The console script."""
    from labelloop.cli.app import run

    sys.exit(run())
