"""One verb per file; each takes the ports and does one transaction."""
