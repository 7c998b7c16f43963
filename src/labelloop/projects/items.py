"""The `items` and `source` of a project file: how an item looks, and where labeled examples come from."""

from typing import Annotated, Literal

from pydantic import Field

from labelloop.projects.section import Section, Share


class Items(Section):
    """What an item looks like, for people and for checks."""

    kind: Literal["text", "image", "table"] = "text"
    """How the page shows an item."""
    field: str | None = None
    """The field of `data` that is shown: the text, or the picture (a path below an allowed root, or rows of grey
    values). Not used by tables, which show all fields."""
    shard_size: int = Field(default=16_384, ge=64, le=1_048_576)
    """Items per feature shard."""


class BundledSource(Section):
    """A labeled data set that ships with scikit-learn: no download."""

    kind: Literal["bundled"] = "bundled"
    name: Literal["digits", "breast_cancer", "iris", "wine"]
    """Which of them."""


class TableSource(Section):
    """A labeled table: CSV, TSV, JSONL or Parquet by the file's ending."""

    kind: Literal["table"] = "table"
    path: str
    """May begin with $LABELLOOP_DATA; else it counts from the folder that the command runs in, or from this file's."""
    test_path: str | None = None
    """A second file of the same shape, kept out of the pool as the test set."""
    columns: tuple[str, ...] | None = None
    """Names of the columns when the file has no header."""
    label: str = "label"
    """The column of the label."""
    key: str | None = None
    """The column of the item's key; the row number when not given."""
    quoting: bool = True
    """Whether quotes group a field (CSV and TSV)."""
    classes: dict[str, str] | None = None
    """Rename labels: value in the file → class."""


class ArraySource(Section):
    """A labeled NumPy archive (.npz)."""

    kind: Literal["arrays"] = "arrays"
    path: str
    """May begin with $LABELLOOP_DATA; else it counts from the folder that the command runs in, or from this file's."""
    features: str = "X"
    """Name of the array of items: (n, d) columns or (n, height, width) pictures."""
    label: str = "y"
    """Name of the array of labels."""
    test_features: str | None = None
    """Name of the array of test items, kept out of the pool."""
    test_label: str | None = None
    """Name of the array of their labels."""
    field: str = "x"
    """The field of `data` that gets the row; with `columns = true`, columns become fields x0, x1, …"""
    columns: bool = False
    """Whether each column becomes a field of its own."""
    classes: dict[str, str] | None = None
    """Rename labels: value in the file → class."""


class Source(Section):
    """Where labeled examples come from, for `labelloop ingest PROJECT`, `simulate` and the demo. Optional."""

    data: Annotated[BundledSource | TableSource | ArraySource, Field(discriminator="kind")]
    holdout: Share = 0.0
    """Part of the rows kept out of the pool as the test set (0 when the data bring a test set)."""
    keep: dict[str, Share] = Field(default_factory=dict)
    """Thin out classes: class → the part of its rows that is kept (makes a balanced set imbalanced)."""
    limit: int | None = Field(default=None, ge=1)
    """Use at most so many rows of the pool."""
    score: str = "accuracy"
    """What `simulate` measures on the test set: accuracy, macro_f1, f1:CLASS or average_precision:CLASS."""
