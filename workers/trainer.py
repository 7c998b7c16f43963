"""The trainer: trains in a process per job, forked before anything is computed; its memory comes back whole."""

from . import process


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = process.prepare("trainer")
    import labelloop.adapters.estimators.sklearn_kind  # what is loaded here need not be loaded for each training
    import labelloop.jobs  # noqa: F401

    process.serve(settings, "trainer")


if __name__ == "__main__":
    main()
