"""Bounds of restored decision trees: scikit-learn follows their indices unchecked, so a crafted file could crash it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from labelloop.domain.errors import BadArtifact
from labelloop.maths.arrays import Ints, Mask


def check_nodes(estimator: Any) -> None:
    """Look at every tree inside a restored estimator.

    Raises:
        BadArtifact: a child outside of its tree, or before its parent, or a feature that the rows do not have.
    """
    for tree, width in _trees(estimator, None, set()):
        if not _sound(tree, width):
            raise BadArtifact(
                "The model file holds a tree whose nodes point outside of it. It was changed after it was saved. Do "
                "not use it; train the model again."
            )


def _trees(thing: Any, width: int | None, seen: set[tuple[int, int | None]]) -> Iterator[tuple[Any, int | None]]:
    """Trees below `thing`, each with the number of columns that certainly reach it."""
    if (id(thing), width) in seen or isinstance(thing, str | bytes | int | float | type(None)):
        return
    seen.add((id(thing), width))
    if type(thing).__name__ in {"Tree", "TreePredictor"}:
        yield thing, width
        return
    if isinstance(thing, np.ndarray):
        inner: list[tuple[str, Any]] = [("", each) for each in thing.ravel()] if thing.dtype == object else []
    elif isinstance(thing, list | tuple):
        inner = [("", each) for each in thing]
    elif isinstance(thing, dict):
        inner = list(thing.items())
    else:
        own = getattr(thing, "n_features_in_", None)
        width = min((each for each in (own, width) if isinstance(each, int)), default=None)
        inner = list(getattr(thing, "__dict__", {}).items())
    for name, each in inner:
        # The last estimator of a stack sees the others' probabilities, not the features.
        yield from _trees(each, None if name == "final_estimator_" else width, seen)


def _sound(tree: Any, width: int | None) -> bool:
    if type(tree).__name__ == "Tree":
        leaf = tree.children_left == -1
        most = tree.n_features if width is None else min(tree.n_features, width)
        return _inside(leaf, tree.children_left, tree.children_right) and _below(tree.feature[~leaf], most)
    nodes = tree.nodes
    leaf = nodes["is_leaf"].astype(bool)
    children = (nodes["left"].astype(np.int64), nodes["right"].astype(np.int64))
    sets = nodes["bitset_idx"][nodes["is_categorical"].astype(bool)].astype(np.int64)
    known = len(tree.raw_left_cat_bitsets)
    return (
        _inside(leaf, *children)
        and _below(nodes["feature_idx"][~leaf].astype(np.int64), np.inf if width is None else width)
        and _below(sets, min(known, len(tree.binned_left_cat_bitsets)))
    )


def _inside(leaf: Mask, left: Ints, right: Ints) -> bool:
    """Every inner node has two children behind it: within the tree and without a circle. A tree has a node."""
    own = np.flatnonzero(~leaf)
    children = np.stack([left[own], right[own]])
    return bool(leaf.size and (children > own).all() and (children < leaf.size).all())


def _below(values: Ints, most: float) -> bool:
    return bool(((values >= 0) & (values < most)).all())
