"""A simulation as a table for people: what each strategy's labels bought, and what it did not reach."""

from rich.table import Table

from labelloop.domain.types import Estimate
from labelloop.simulation.results import FRACTIONS, Simulation


def table(simulation: Simulation) -> Table:
    """A row for each strategy: score at the budget, area under the curve, labels to each part of the full score."""
    seeds = len(next(iter(simulation.curves.values())))
    grid = Table(
        title=f"{simulation.project}: {simulation.score}, all labels give {simulation.full_data_score:.3f}",
        caption=f"mean over {seeds} seeds with a 95 % t-interval" if seeds > 1 else "one seed: no interval",
        title_justify="left",
        caption_justify="left",
    )
    grid.add_column("strategy")
    for column in (f"score at {simulation.budget}", "area", *(f"labels to {100 * part:.0f} %" for part in FRACTIONS)):
        grid.add_column(column, justify="right")
    for name in simulation.curves:
        final = simulation.points(name)[-1][1]
        bare = seeds == 1
        prices = (price(simulation, name, part) for part in FRACTIONS)
        scores = (interval(score, ".3f", bare=bare) for score in (final, simulation.area(name)))
        grid.add_row(name, *scores, *prices)
    return grid


def price(simulation: Simulation, strategy: str, fraction: float) -> str:
    """Labels to a part of the full-data score in words; says so where not all seeds got there."""
    reached = simulation.labels_to(strategy, fraction)
    if reached.labels is None:
        return f"not reached at {simulation.budget}"
    seeds = len(simulation.curves[strategy])
    those = round(reached.reached * seeds)
    words = interval(reached.labels, ".0f", bare=those == 1)
    return words if those == seeds else f"{words}\nin {those} of {seeds} seeds"


def interval(estimate: Estimate, form: str, *, bare: bool = False) -> str:
    """`0.931 [0.900, 0.955]`; bare is the number alone."""
    mean = format(estimate.mean, form)
    return mean if bare else f"{mean} [{format(estimate.low, form)}, {format(estimate.high, form)}]"
