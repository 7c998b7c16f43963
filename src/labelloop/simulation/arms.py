"""The project as one arm of a simulation plays it: the strategy exchanged, the audit lane left out.

Which names of strategies there are is not known here: the project file and the entry points know.
"""

from labelloop.domain.errors import InvalidProject
from labelloop.projects import ColdStart, ModalStrategy, PluginStrategy, Project, StrategySpec, parse

RANDOM = "random"


def own_name(project: Project) -> str:
    """The name by which the project's own strategy is asked for: its kind, or the name of a plugin or function."""
    spec = project.strategy
    if isinstance(spec, PluginStrategy):
        return spec.name
    return spec.function if isinstance(spec, ModalStrategy) else spec.kind


def arm(project: Project, strategy: str, *, first: int, batch: int, growth: float | None = None) -> Project:
    """The project with this strategy, asked without an audit, because the score is measured on the test set.

    The project's own strategy keeps its section of the file. Another one gets its defaults and the project's cold
    start; where a `+` says how its batches are spread, as in `margin+none` and `entropy+herding`, it gets all that the
    project says of batches. `random` starts at random and leaves the minority lane out: it is the yardstick. `first`,
    `batch`, `growth` stand for the project's own retrain rules, because a batch is chosen for as many labels as come
    before a training.

    Raises:
        InvalidProject: no strategy has this name, or is spread so; lists the known ones.
    """
    lanes = project.lanes.model_copy(update={"audit": 0.0, "audit_items": None})
    if strategy == RANDOM:
        spec = _exchanged(project, strategy, ColdStart(kind="random"))
        lanes = lanes.model_copy(update={"informative": 1.0, "minority": 0.0})
    elif strategy in {own_name(project), project.strategy.kind}:
        spec = project.strategy
    else:
        spec = _exchanged(project, strategy, project.strategy.cold_start)
    retrain = project.retrain.model_copy(update={"first": first, "labels": batch, "growth": growth})
    return project.model_copy(update={"strategy": spec, "lanes": lanes, "retrain": retrain})


def _exchanged(project: Project, strategy: str, cold_start: ColdStart) -> StrategySpec:
    start = cold_start.model_dump()
    section: dict[str, object] = {"kind": strategy, "cold_start": start}
    if strategy.startswith("modAL."):
        section = {"kind": "modal", "function": strategy, "cold_start": start}
    elif strategy in _plugins():
        section = {"kind": "plugin", "name": strategy, "cold_start": start}
    elif strategy == "plugin":
        raise InvalidProject("Ask for a plugin strategy by its own name.")
    elif strategy.startswith(f"{RANDOM}+"):
        raise InvalidProject("`random` draws by lot and spreads no batches; ask for it without the `+`.")
    elif "+" in strategy:
        section = project.strategy.asked_by(strategy)
    whole = project.model_dump(mode="json") | {"strategy": section}
    return parse(whole, origin=f"--strategies {strategy}").strategy


def _plugins() -> set[str]:
    from importlib.metadata import entry_points

    return {point.name for point in entry_points(group="labelloop.strategies")}
