"""The ways of asking that the benchmark of labels compares, on the same batches, models and features."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labels_peers import PEERS
from labels_play import RANDOM, Arm
from labels_score import TAUGHT, WRONG

from labelloop import projects

DEFAULT = "default"
LONGER = "default, longer"
"""With as many labels as random gets: where its score was not reached within the set's budget."""
MIXED = {"kind": "mixed"}
RECOMMENDED: Mapping[str, Any] = projects.RECOMMENDED.model_dump(mode="json", exclude_unset=True)
"""What a project that names no strategy gets."""
NARROW = {**RECOMMENDED, "widen": 1}
"""The same without candidates beyond those in doubt, for ways of asking that have no such thing, too."""
WIDE = {**NARROW, "shortlist": 200, "within": 0.1}
"""The same with candidates that are less in doubt: more of the pool's shape and less of its borders."""
SHORT: Mapping[str, Mapping[str, Any]] = {"random": RANDOM, DEFAULT: RECOMMENDED}
ALONE: Mapping[str, Mapping[str, Any]] = {"minority": {"grow_to": 0.0}}
"""A strategy by itself: the minority lane's share does not grow, as it does with the default."""
LANES = {"informative": 0.7, "minority": 0.3, "audit": 0.0}
CLUSTERS = {"kind": "margin", "diversity": "cluster_margin", "shortlist": 10, "cold_start": MIXED}
LARGE: Mapping[str, Mapping[str, Any]] = {
    "margin": {"kind": "margin", "cold_start": MIXED},
    DEFAULT: RECOMMENDED,
    "cluster margin": CLUSTERS,
}
"""Ways of asking in large batches, as teams of many people want them."""
TWENTY, HUNDRED = ({"batch": batch, "growth": None} for batch in (20, 100))
SMOTE = {"synthetic": {"kind": "smote", "target": 0.5}}
SELF_TRAINED = {"self_training": {"per_label": 5}}
"""The model learns from items without a label, too, as texts with a linear model do where their file says nothing."""
NOISY = ("random", DEFAULT, "default, no growth", "auto", f"random{TAUGHT}", f"{DEFAULT}{TAUGHT}")
"""Those that are also played with a fifth of the answers wrong."""
WHOLE_POOL = 1_000_000
FORESTS = ("mammography", "pendigits", "thyroid", "cover", "smtp")


def arms() -> dict[str, Arm]:
    """Every arm by its name."""
    ours = [
        Arm(name="random", strategy=RANDOM),
        Arm(name=DEFAULT, strategy=RECOMMENDED),
        Arm(name="default, wide", strategy=WIDE),
        Arm(name="default, narrow", strategy=NARROW),
        Arm(name=LONGER, strategy=RECOMMENDED, terms={"budget": "random"}),
        Arm(name="default, no growth", strategy=RECOMMENDED, more=ALONE),
        Arm(name="auto", strategy={**NARROW, "kind": "auto", "diversity": "none"}, more=ALONE),
        *(
            Arm(name=kind, strategy={"kind": kind, "cold_start": MIXED}, more=ALONE)
            for kind in ("margin", "entropy", "bald")
        ),
        Arm(name="entropy, herding", strategy={**NARROW, "kind": "entropy"}, more=ALONE),
        Arm(name="margin, batches of 20", strategy={"kind": "margin"}, terms=TWENTY, more=ALONE),
        *(
            Arm(name=f"margin, {rule}", strategy={**NARROW, "diversity": rule}, more=ALONE)
            for rule in ("cluster_margin", "badge", "k_means", "k_center")
        ),
        *(
            Arm(name=f"start: {start}", strategy={**RECOMMENDED, "cold_start": {"kind": start}})
            for start in ("random", "diversity", "typiclust", "herding", "k_center")
        ),
        *(
            Arm(name=f"lane: {kind}", strategy=RECOMMENDED, lanes=LANES, more={"minority": {"kind": kind}})
            for kind in ("margin", "cut")
        ),
        *(Arm(name=f"{arm}, smote", strategy=strategy, more=SMOTE) for arm, strategy in SHORT.items()),
        *(Arm(name=f"{arm}{TAUGHT}", strategy=strategy, model=SELF_TRAINED) for arm, strategy in SHORT.items()),
        *(
            Arm(name=f"{rule}, batches of 100", strategy=strategy, terms=HUNDRED, more={} if rule == DEFAULT else ALONE)
            for rule, strategy in LARGE.items()
        ),
        *(Arm(name=name, strategy=_peer(name), more=ALONE) for name in PEERS),
    ]
    noisy = [replace(arm, name=f"{arm.name}{WRONG}", terms={"noise": 0.2}) for arm in ours if arm.name in NOISY]
    return {arm.name: arm for arm in (*ours, *noisy)}


def _peer(name: str) -> dict[str, Any]:
    """A peer sees the whole pool, and starts as ours do: its libraries bring no start without a model."""
    return {"kind": "plugin", "name": name, "shortlist": WHOLE_POOL, "cold_start": MIXED}
