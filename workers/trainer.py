"""The trainer: trains in a fresh process per job, because CUDA does not survive a fork and memory comes back whole."""

from . import process


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = process.prepare("trainer")
    process.serve(settings, "trainer")


if __name__ == "__main__":
    main()
