"""The label queue and the embedded server."""
