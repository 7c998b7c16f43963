"""`python -m labelloop.cli`: how the supervisor starts the API."""

from labelloop.cli.app import main

main()
