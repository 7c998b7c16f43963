"""Messages to workers over rq, with an allow-list."""
