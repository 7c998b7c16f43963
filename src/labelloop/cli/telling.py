"""Parts of a project's report in words: how far annotators agree, and how much the last training changed."""

from collections.abc import Iterator, Mapping
from typing import Any

SENTENCES = ("agreement", "stability")
"""Parts of the report that are told in words, below its table."""


def sentences(report: Mapping[str, Any]) -> Iterator[str]:
    """What there is to tell of both; nothing where nobody was asked twice, or no model followed another."""
    yield from _agreement(report["agreement"])
    if report["stability"] is not None:
        yield from _stability(report["stability"])


def _agreement(found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield "Agreement: answers that are none or several classes cannot be compared; see the export."
    elif found["items"]:
        beyond = [
            f"{name} {found[key]:.2f}"
            for name, key in (("Krippendorff's alpha", "alpha"), ("Gwet's AC1", "ac1"))
            if found[key] is not None
        ]
        yield (
            f"Agreement: on {found['items']} items with two votes or more, {100 * found['observed']:.0f} of 100 pairs"
            f" of votes are of one class; beyond chance: {', '.join(beyond)}."
        )
        if found["confused"]:
            pairs = [" against ".join(one["classes"]) + f" ({one['pairs']})" for one in found["confused"]]
            yield f"Confused most, in pairs of votes: {', '.join(pairs)}."


def _stability(found: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"Stability: model {found['model']} puts {100 * found['changed']:.1f} of 100 waiting items into another class"
        f" than model {found['since']} did (kappa {found['kappa']:.2f}, {found['rows']} items drawn by lot)."
    )
    if found["stabilised"]:
        yield (
            "The model has hardly changed over three trainings, so more labels may bring little: look at the learning"
            " curve."
        )
