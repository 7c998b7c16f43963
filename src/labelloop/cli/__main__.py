"""`python -m labelloop.cli`: how the supervisor starts the API."""

from labelloop.cli import main

main()
