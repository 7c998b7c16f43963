"""The tree of commands, and the one place where an error becomes a sentence and an exit code."""

import sys
from collections.abc import Sequence

import typer

from labelloop.cli import console, cycle, drawing, key, project, rounds, service, simulate, work
from labelloop.domain.errors import LabelloopError

app = typer.Typer(
    name="labelloop",
    help="Active learning as a service: score the pool, lease the best items to annotators, retrain, repeat.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(project.app, name="project")
app.add_typer(key.app, name="key")
app.add_typer(rounds.app, name="round")
for module in (service, work, cycle, simulate, drawing):
    module.register(app)


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    try:
        app(args=list(argv) if argv is not None else None, prog_name="labelloop")
    except LabelloopError as error:
        console.fail(error.detail)
        return console.exit_code(error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:  # `labelloop export … | head`
        sys.stderr.close()
        return console.Exit.OK
    return console.Exit.OK
