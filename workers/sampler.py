"""The sampler: scores the pool and plans rounds, one queue, one warm process whose caches survive from job to job."""

from . import process


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = process.prepare("sampler")
    process.serve(settings, "sampler")


if __name__ == "__main__":
    main()
