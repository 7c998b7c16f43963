"""A simulation as a table for people: what each strategy's labels bought, what it did not reach, and what is luck."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from labelloop.domain.types import Estimate
from labelloop.simulation.compare import AREA, Comparison, reference
from labelloop.simulation.overall import Standing
from labelloop.simulation.results import FRACTIONS, Reached, Simulation

TIMED = 0.95
"""Part of the full-data score whose price in time and money stands in the table; JSON has all."""
_TIMES = ((180.0, "s", 1.0), (180.0 * 60, "min", 60.0), (float("inf"), "h", 3600.0))


def table(simulation: Simulation, compared: Sequence[Comparison] = (), *, against: str | None = None) -> Table:
    """A row for each strategy: score at the budget, area under the curve, labels to each part of the full score.

    With comparisons, the difference in area to the reference and its corrected p-value, too.
    """
    seeds = simulation.seeds
    differences = {found.strategy: found for found in compared if found.measure == AREA and seeds > 1}
    grid = Table(
        title=_title(simulation),
        caption=_caption(simulation, compared=bool(differences)),
        title_justify="left",
        caption_justify="left",
    )
    grid.add_column("strategy")
    columns = [f"score at {simulation.budget}", "area", *(f"labels to {100 * part:.0f} %" for part in FRACTIONS)]
    if simulation.timed:
        columns.append(f"{'cost' if simulation.hourly else 'time'} to {100 * TIMED:.0f} %")
    if differences:
        columns.append(f"area less {reference(simulation, against)}'s")
    for column in columns:
        grid.add_column(column, justify="right")
    for name in simulation.curves:
        final = simulation.points(name)[-1][1]
        scores = [interval(score, ".3f", bare=seeds == 1) for score in (final, simulation.area(name))]
        cells = scores + [price(simulation, name, part) for part in FRACTIONS]
        if simulation.timed:
            cells.append(_time(simulation, name))
        if differences:
            cells.append(_difference(differences.get(name)))
        grid.add_row(name, *cells)
    return grid


def standings(found: Mapping[str, Standing], *, sets: int, base: str) -> Table:
    """A row for each strategy, over all data sets."""
    grid = Table(
        title=f"over {sets} data sets, against {base}",
        caption=(
            "rank: mean place by area among all. better, worse: sets where the area differs (paired t over seeds, Holm,"
            f" 5 %).\nsaved: labels not needed for {base}'s last score. behind: the most below {base}'s mean curve at "
            "any number of labels.\np: sign flips of the difference in area over sets."
        ),
        title_justify="left",
        caption_justify="left",
    )
    grid.add_column("strategy")
    for column in ("rank", "better", "worse", "saved, median", "saved, least", "behind", "p"):
        grid.add_column(column, justify="right")
    for name, one in found.items():
        numbers = (f"{one.saving:.0%}", f"{one.least_saving:.0%}", f"{one.behind:.3f}", probability(one.sign_flip))
        grid.add_row(name, f"{one.rank:.1f}", str(one.better), str(one.worse), *numbers)
    return grid


def price(simulation: Simulation, strategy: str, fraction: float) -> str:
    """Labels to a part of the full-data score in words; says so where not all seeds got there."""
    reached = simulation.labels_to(strategy, fraction)
    if reached.labels is None:
        return f"not reached at {simulation.budget}"
    return _of_seeds(interval(reached.labels, ".0f", bare=_got(reached, simulation) == 1), reached, simulation)


def interval(estimate: Estimate, form: str, *, bare: bool = False) -> str:
    """`0.931 [0.900, 0.955]`; bare is the number alone."""
    mean = format(estimate.mean, form)
    return mean if bare else f"{mean} [{format(estimate.low, form)}, {format(estimate.high, form)}]"


def probability(p: float) -> str:
    """A p-value as it is read."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _title(simulation: Simulation) -> str:
    if simulation.models:
        scores = ", ".join(f"{score:.3f} by {model}" for model, score in simulation.models.items())
        return f"{simulation.project}: {simulation.score}, all labels give {scores}"
    return f"{simulation.project}: {simulation.score}, all labels give {simulation.full_data_score:.3f}"


def _caption(simulation: Simulation, *, compared: bool) -> str:
    seeds = simulation.seeds
    lines = [f"mean over {seeds} seeds with a 95 % t-interval" if seeds > 1 else "one seed: no interval"]
    if compared:
        lines.append(
            "differences are paired by seed; p by Student's t, corrected for the number of strategies (Holm);"
            f" sign flips cannot go below {2 / 2**seeds:.2g} here"
        )
    if simulation.models:
        lines.append("labels to a part of the best model's score")
    if simulation.caveat:
        lines.append(simulation.caveat)
    if simulation.surpassed:
        lines.append(
            f"{', '.join(simulation.surpassed)}: better than the model on all labels, so that score is no goal."
            " Something may hold the model back: compare it with --models, such as a larger C of LogisticRegression"
        )
    return "\n".join(lines)


def _difference(found: Comparison | None) -> str:
    if found is None:
        return "–"
    return f"{interval(found.difference, '+.3f')} p {probability(found.holm_t)}"


def _time(simulation: Simulation, strategy: str) -> str:
    """Mean time to the score, or its price."""
    reached = simulation.seconds_to(strategy, TIMED)
    if reached.labels is None:
        return "not reached"
    mean = reached.labels.mean
    if simulation.hourly:
        return _of_seeds(f"{mean / 3600 * simulation.hourly:.2f}", reached, simulation)
    _, word, unit = next(entry for entry in _TIMES if mean <= entry[0])
    return _of_seeds(f"{mean / unit:.1f} {word}", reached, simulation)


def _got(reached: Reached, simulation: Simulation) -> int:
    return round(reached.reached * simulation.seeds)


def _of_seeds(words: str, reached: Reached, simulation: Simulation) -> str:
    those = _got(reached, simulation)
    return words if those == simulation.seeds else f"{words}\nin {those} of {simulation.seeds} seeds"
