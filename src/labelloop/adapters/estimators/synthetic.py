"""Made-up rows of classes with few labels, by imbalanced-learn; who trains on them, and that nobody else sees them, is
not decided here.

SMOTE: Chawla and others, "SMOTE: synthetic minority over-sampling technique", JAIR 16, 2002. ADASYN: He and others,
"ADASYN: adaptive synthetic sampling approach for imbalanced learning", IJCNN 2008.
"""

from typing import Any

import numpy as np
from imblearn.over_sampling import ADASYN, SMOTE, RandomOverSampler

from labelloop.maths.arrays import Ints, Matrix
from labelloop.maths.geometry import stack
from labelloop.projects import Synthetic


def rows(spec: Synthetic, features: Matrix, codes: Ints, *, seed: int) -> tuple[Matrix, Ints]:
    """New rows (m, d) and their class codes (m,), class by class; the same seed gives the same rows.

    Each class below `target` of the largest one is brought there (by adasyn about there). A class of one row can only
    be repeated.
    """
    classes, counts = np.unique(codes, return_counts=True)
    goal = round(spec.target * int(counts.max()))
    parts, made = [], []
    for code, count in zip(classes.tolist(), counts.tolist(), strict=True):
        if count < goal:
            fresh = _of_class(spec, features, codes, code=code, goal=goal, seed=seed)
            parts.append(fresh)
            made.append(np.full(fresh.shape[0], code, dtype=np.int64))
    if not parts:
        return features[:0], np.zeros(0, dtype=np.int64)
    return stack(parts), np.concatenate(made)


def _of_class(spec: Synthetic, features: Matrix, codes: Ints, *, code: int, goal: int, seed: int) -> Matrix:
    """What the sampler adds for one class; it gives the old rows first."""
    sampler = _sampler(spec, count=int((codes == code).sum()), goal={code: goal}, seed=seed)
    try:
        grown, _ = sampler.fit_resample(features, codes)
    except (ValueError, RuntimeError):
        if spec.kind != "adasyn":
            raise
        # No row of the class has another class near, so nothing asks for one place more than for another.
        return _of_class(spec.model_copy(update={"kind": "smote"}), features, codes, code=code, goal=goal, seed=seed)
    return grown[features.shape[0] :].astype(np.float32)


def _sampler(spec: Synthetic, *, count: int, goal: dict[int, int], seed: int) -> Any:
    near = min(spec.neighbours, count - 1)
    if spec.kind == "random_over" or not near:
        return RandomOverSampler(sampling_strategy=goal, random_state=seed)
    if spec.kind == "adasyn":
        return ADASYN(sampling_strategy=goal, random_state=seed, n_neighbors=near)
    return SMOTE(sampling_strategy=goal, random_state=seed, k_neighbors=near)
