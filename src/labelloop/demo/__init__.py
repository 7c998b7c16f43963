"""The demo: the real service, real data and simulated annotators in front of you, then the proof of what held.

It speaks to the service as anyone does: over HTTP with the Python client. Only the truth behind the answers, and the
models it measures at the end, it takes from the data set and from the store.
"""
