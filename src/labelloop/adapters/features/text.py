"""Text as weighted terms, optionally reduced by a truncated SVD; the vocabulary is that of the first fit."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array

from labelloop.adapters.features.numbers import field
from labelloop.domain.errors import InvalidFeatures
from labelloop.domain.types import Item
from labelloop.maths.arrays import Floats, Matrix
from labelloop.projects import TextFeatures

BUCKETS = 2**18
"""Hash buckets when `max_terms` is not given."""


class Text:
    """Implements transforms.Transform for `kind = "text"`.

    The learned state is a list of terms, their weights and the SVD's axes. It is kept as JSON and arrays: a fiftieth of
    the size of the vectorizer in skops, a hundred times as fast to read, and not bound to a version of scikit-learn.
    """

    shape: tuple[int, ...] | None = None

    def __init__(self, section: TextFeatures, vectorizer: Any, axes: Floats | None = None) -> None:
        self._section = section
        self._vectorizer = vectorizer
        self._axes = axes

    @classmethod
    def fit(cls, section: TextFeatures, items: Sequence[Item], rng: np.random.Generator) -> Self:
        texts = _texts(items, section.field)
        if section.vectorizer == "hashing":
            fitted = cls(section, _hashing(section))
        else:
            vectorizer = _tfidf(section, min_df=min(section.min_count, len(texts)))
            try:
                vectorizer.fit(texts)
            except ValueError as error:
                raise InvalidFeatures(
                    f"No terms can be learned from the field {section.field!r} of {len(texts)} items ({error}). "
                    'Lower features.min_count, or use features.vectorizer = "hashing".',
                    field=section.field,
                ) from None
            fitted = cls(section, vectorizer)
        if section.svd is not None:
            fitted._axes = _axes(fitted._terms(texts), section.svd, rng)
        return fitted

    @classmethod
    def restore(cls, section: TextFeatures, arrays: Mapping[str, Any], notes: Mapping[str, Any]) -> Self:
        if section.vectorizer == "hashing":
            vectorizer = _hashing(section)
        else:
            vectorizer = _tfidf(section, vocabulary=notes["terms"])
            vectorizer.idf_ = np.array(arrays["weights"])
        return cls(section, vectorizer, np.array(arrays["axes"]) if "axes" in arrays else None)

    def apply(self, items: Sequence[Item]) -> Matrix:
        terms = self._terms(_texts(items, self._section.field))
        if self._axes is None:
            return terms
        reduced: Floats = _unit(np.asarray(terms @ self._axes.T, dtype=np.float32))
        return reduced

    def arrays(self) -> Mapping[str, Any]:
        found = {} if self._axes is None else {"axes": self._axes}
        if self._section.vectorizer == "tfidf":
            found["weights"] = self._vectorizer.idf_
        return found

    def notes(self) -> Mapping[str, Any]:
        if self._section.vectorizer == "hashing":
            return {}
        return {"terms": self._vectorizer.get_feature_names_out().tolist()}

    def _terms(self, texts: list[str]) -> csr_array:
        """Weighted terms (n, terms), rows of unit length, column numbers ascending within a row."""
        counted = self._vectorizer.transform(texts)
        if self._section.vectorizer == "hashing":
            if self._section.sublinear:
                counted.data = 1 + np.log(counted.data)
            counted = _unit(counted)
        counted.sort_indices()
        return csr_array(counted, dtype=np.float32)


def _tfidf(section: TextFeatures, **more: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        ngram_range=section.words,
        max_features=section.max_terms,
        sublinear_tf=section.sublinear,
        dtype=np.float32,
        **more,
    )


def _hashing(section: TextFeatures) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    # Without alternating signs all counts stay positive, so that their logarithm exists.
    return HashingVectorizer(
        ngram_range=section.words,
        n_features=section.max_terms or BUCKETS,
        alternate_sign=False,
        norm=None,
        dtype=np.float32,
    )


def _axes(terms: csr_array, dimensions: int, rng: np.random.Generator) -> Floats:
    """Axes (≤ dimensions, terms) of the truncated SVD: latent semantic analysis, without centring."""
    from sklearn.decomposition import TruncatedSVD

    most = min(dimensions, *terms.shape)
    svd = TruncatedSVD(most, random_state=int(rng.integers(2**32)))
    with np.errstate(invalid="ignore", divide="ignore"):  # the share of variance, where there is none: not used here
        axes: Floats = svd.fit(terms).components_.astype(np.float32)
    return axes


def _unit(rows: Any) -> Any:
    """Each row scaled to unit length, in place; a row of zeros stays one."""
    from sklearn.preprocessing import normalize

    return normalize(rows, copy=False)


def _texts(items: Sequence[Item], name: str) -> list[str]:
    texts = [field(item, name) for item in items]
    for item, text in zip(items, texts, strict=True):
        if not isinstance(text, str):
            raise InvalidFeatures(
                f"Item {item.key!r}: the field {name!r} is {type(text).__name__}, not text. "
                "Send it as a string, or name another field as features.field.",
                item=item.key,
                field=name,
            )
    return texts
