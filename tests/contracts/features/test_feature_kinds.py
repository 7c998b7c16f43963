"""Each kind of features: the numbers it gives, and the errors that name item, field and remedy."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from labelloop.adapters.features.columns import Columns
from labelloop.adapters.features.store import FeatureFiles
from labelloop.domain.errors import InvalidFeatures
from labelloop.domain.states import ItemState
from labelloop.domain.types import Item
from labelloop.projects import ColumnFeatures

Make = Callable[..., Any]


@pytest.fixture
def rows(tmp_path: Path) -> Make:
    """Compute the features of a first shard and give them as a plain array."""

    def compute(project: Any, items: Any, *, roots: tuple[Path, ...] = ()) -> Any:
        store = FeatureFiles(tmp_path / "home", roots)
        store.ensure(project, 0, items)
        found = store.shard(project, 0)
        return found.toarray() if hasattr(found, "toarray") else np.asarray(found)

    return compute


# --- columns -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    table=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 8), st.integers(1, 4)), elements=st.floats(-1e6, 1e6, width=32)
    )
)
def test_columns_are_standardised_as_scikit_learn_does(
    table: Any, project: Make, items: Make, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Mean 0 and deviation 1 per column; a constant column becomes 0, not NaN."""
    names = [f"c{place}" for place in range(table.shape[1])]
    pool = items([dict(zip(names, row, strict=True)) for row in table.tolist()])
    store, named = FeatureFiles(tmp_path_factory.mktemp("home")), project("columns")
    store.ensure(named, 0, pool)
    found = store.shard(named, 0)
    deviation = table.std(axis=0)
    clear = (deviation == 0) | (deviation > 1e-6 * (1 + np.abs(table).max(axis=0)))
    expected = StandardScaler().fit_transform(table)
    assert np.isfinite(found).all()
    assert np.allclose(found[:, clear], expected[:, clear], atol=1e-3)


def test_all_numeric_fields_are_the_default(project: Make, items: Make, rows: Make) -> None:
    """Text that spells numbers counts, as CSV knows nothing else; other text, lists and nulls are left out."""
    pool = items([{"b": "2.5", "a": 1, "name": "x", "list": [1], "none": None, "yes": True}])
    found = rows(project("columns", scale=False), pool)
    assert found.tolist() == [[1, 2.5, 1]]


def test_named_columns_keep_their_order(project: Make, items: Make, rows: Make) -> None:
    """The project file decides which columns, and in which order."""
    found = rows(project("columns", columns=["y", "x"], scale=False), items([{"x": 1, "y": 2, "z": 3}]))
    assert found.tolist() == [[2, 1]]


@pytest.mark.parametrize(
    "bad, reason",
    [
        ({"x": 1}, "'item-1' has no field 'y'; its fields: x. Add it"),
        ({"x": 1, "y": None}, "'item-1': the field 'y' is None, not a finite number. Fill it in"),
        ({"x": 1, "y": "tall"}, "'item-1': the field 'y' is 'tall'"),
        ({"x": 1, "y": "nan"}, "'item-1': the field 'y' is 'nan'"),
        ({"x": 1, "y": float("inf")}, "'item-1': the field 'y' is inf"),
        ({"x": 1, "y": [1]}, r"'item-1': the field 'y' is \[1\]"),
        ({"x": 1, "y": 10**400}, "'item-1': the field 'y' is 1000"),
        ({"x": 1, "y": 1e300}, "'item-1': the field 'y' is too large"),
    ],
)
def test_a_bad_cell_is_named(project: Make, items: Make, rows: Make, bad: dict[str, Any], reason: str) -> None:
    """One cell of a large table: the error names the item and the field, and what to do."""
    pool = items([{"x": 1, "y": 2}, bad, {"x": 3, "y": 4}])
    with pytest.raises(InvalidFeatures, match=reason):
        rows(project("columns", scale=False), pool)


def test_a_table_without_numbers_is_an_error(project: Make, items: Make, rows: Make) -> None:
    """No columns, no features."""
    with pytest.raises(InvalidFeatures, match=r"none of its fields \(name\) is a number"):
        rows(project("columns"), items([{"name": "x"}]))


# --- pixels ------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(images=hnp.arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))))
def test_grey_values_become_rows_between_0_and_1(
    images: Any, project: Make, items: Make, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A row is the picture read line by line, and the store knows its shape."""
    store, named = FeatureFiles(tmp_path_factory.mktemp("home")), project("pixels")
    assert store.shape(named) is None
    store.ensure(named, 0, items(images.tolist(), field="image"))
    assert np.allclose(store.shard(named, 0), images.reshape(len(images), -1) / 255, atol=1e-6)
    assert store.shape(named) == (*images.shape[1:], 1)
    assert FeatureFiles(store._home.parent).shape(named) == (*images.shape[1:], 1)


def test_grey_and_colour_are_made_of_each_other(project: Make, items: Make, tmp_path: Path) -> None:
    """Grey weighs red, green and blue as the eye does; a grey picture in colour has three equal channels."""
    colour = [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]]
    store, grey, full = FeatureFiles(tmp_path), project("pixels"), project("pixels", colour=True)
    pool = items([colour, [[0, 51], [102, 255]]], field="image")
    store.ensure(grey, 0, pool)
    store.ensure(full, 0, pool)
    assert np.allclose(store.shard(grey, 0), [[0.299, 0.587, 0.114, 1], [0, 0.2, 0.4, 1]], atol=1e-6)
    assert np.allclose(store.shard(full, 0)[0].reshape(2, 2, 3), np.array(colour) / 255)
    assert np.allclose(store.shard(full, 0)[1].reshape(2, 2, 3)[:, :, 2], [[0, 0.2], [0.4, 1]])
    assert store.shape(full) == (2, 2, 3)


def test_pictures_of_other_sizes_are_resized(project: Make, items: Make, rows: Make) -> None:
    """With features.size all pictures get one size; a constant one stays constant."""
    named = project("pixels", size=[4, 2], maximum=10)
    found = rows(named, items([[[5] * 6] * 9, [[10] * 2] * 4, [[0, 10]]], field="image"))
    assert found.shape == (3, 8)
    assert np.allclose(found[0], 0.5)
    assert np.allclose(found[1], 1)
    assert found[2].min() >= 0
    assert found[2].max() <= 1


@pytest.mark.parametrize("mode, colour", [("L", False), ("RGB", True), ("RGBA", False), ("P", True), ("1", False)])
def test_picture_files_are_read_below_the_roots(
    project: Make, items: Make, *, rows: Make, tmp_path: Path, mode: str, colour: bool
) -> None:
    """Files of every common mode become rows of one size."""
    root = tmp_path / "pictures"
    root.mkdir()
    Image.new("RGB", (20, 10), (255, 255, 255)).convert(mode).save(root / "white.png")
    Image.new("RGB", (8, 8), (0, 0, 0)).convert(mode).save(root / "black.png")
    named = project("pixels", size=[4, 6], colour=colour)
    pool = items(["white.png", str(root / "black.png"), [[51] * 6] * 4], field="image")
    found = rows(named, pool, roots=(root,))
    assert found.shape == (3, 4 * 6 * (3 if colour else 1))
    assert np.allclose(found, np.array([[1], [0], [0.2]]), atol=0.005)


def test_deep_pictures_keep_their_grey_values(project: Make, items: Make, rows: Make, tmp_path: Path) -> None:
    """16 bits a pixel, as in medicine, are scaled and not cut off at 255."""
    deep = np.full((4, 4), 32_768, dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    found = rows(project("pixels", size=[2, 2]), items(["deep.png"], field="image"), roots=(tmp_path,))
    assert np.allclose(found, 0.5, atol=1e-3)


def test_pictures_are_turned_as_their_camera_says(project: Make, items: Make, rows: Make, tmp_path: Path) -> None:
    """A photograph taken upright is stored lying, with a note to turn it."""
    picture = Image.new("L", (8, 4), 0)
    picture.paste(255, (0, 0, 4, 4))  # the left half is white
    notes = Image.Exif()
    notes[0x0112] = 6  # turn by 90 degrees clockwise to show
    picture.save(tmp_path / "lying.png", exif=notes)
    found = rows(project("pixels", size=[8, 4]), items(["lying.png"], field="image"), roots=(tmp_path,))
    assert found.reshape(8, 4)[:4].min() > 0.9
    assert found.reshape(8, 4)[4:].max() < 0.1


@pytest.mark.parametrize(
    "value, options, reason",
    [
        ("../secret.png", {"size": [2, 2]}, "'item-0': '../secret.png' leads out"),
        ("gone.png", {"size": [2, 2]}, "'item-0': 'gone.png': there is no such file"),
        ("text.png", {"size": [2, 2]}, "'item-0': the picture 'text.png' cannot be read"),
        ("white.png", {}, "features.size"),
        ([[1, 2], [3]], {}, "'item-0': 'image' is not a picture"),
        ([], {}, "'item-0': 'image' is not a picture"),
        ([[1, 2], [3, 300]], {}, "from 1 to 300.*features.maximum.*255"),
        ([[1, None], [3, 4]], {}, "'item-0': 'image' holds a value that is not a finite number"),
        (7, {}, "'item-0': 'image' is not a picture"),
    ],
)
def test_a_bad_picture_is_named(
    project: Make, items: Make, *, rows: Make, tmp_path: Path, value: Any, options: dict[str, Any], reason: str
) -> None:
    """A wrong path, a damaged file, a ragged or too bright array: which item, and what to do."""
    root = tmp_path / "pictures"
    root.mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "secret.png")
    Image.new("L", (2, 2)).save(root / "white.png")
    (root / "text.png").write_text("no picture")
    with pytest.raises(InvalidFeatures, match=reason):
        rows(project("pixels", **options), items([value], field="image"), roots=(root,))


def test_a_picture_of_another_size_needs_the_option(project: Make, items: Make, rows: Make) -> None:
    """Without features.size the first picture's shape binds all."""
    with pytest.raises(InvalidFeatures, match=r"'item-1'.*1×3 where the first one was 2×2\. Set features.size"):
        rows(project("pixels"), items([[[1, 2], [3, 4]], [[1, 2, 3]]], field="image"))


def test_without_pillow_the_error_says_what_to_install(
    project: Make, items: Make, *, rows: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays need no Pillow, files do: who lacks it learns the name of the extra."""
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(InvalidFeatures, match=r"pip install 'labelloop\[images\]'"):
        rows(project("pixels", size=[2, 2]), items(["a.png"], field="image"), roots=(tmp_path,))


def test_a_bomb_is_refused(
    project: Make, items: Make, rows: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file that unpacks into gigabytes does not take the worker down."""
    Image.new("L", (64, 64)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3_000)
    with pytest.raises(InvalidFeatures, match=r"'item-0': the picture 'bomb\.png' cannot be read"):
        rows(project("pixels", size=[2, 2]), items(["bomb.png"], field="image"), roots=(tmp_path,))


# --- text --------------------------------------------------------------------------------------------------

WORDS = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "café", "x"]), max_size=8).map(" ".join)


@settings(deadline=None, max_examples=25)
@given(texts=st.lists(WORDS, min_size=1, max_size=10), longest=st.integers(1, 2), sublinear=st.booleans())
def test_tfidf_is_that_of_scikit_learn(
    texts: list[str],
    *,
    longest: int,
    sublinear: bool,
    project: Make,
    items: Make,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The kept terms and weights give the rows that the fitted vectorizer would, also after a restart."""
    texts = [*texts, "alpha beta beta"]
    home, named = tmp_path_factory.mktemp("home"), project("text", words=[1, longest], sublinear=sublinear)
    FeatureFiles(home).ensure(named, 0, items(texts, field="text"))
    later = FeatureFiles(home)
    later.ensure(named, 1, items(["beta gamma unseen", ""], field="text", first=64))
    reference = TfidfVectorizer(ngram_range=(1, longest), sublinear_tf=sublinear).fit(texts)
    assert np.allclose(later.shard(named, 0).toarray(), reference.transform(texts).toarray(), atol=1e-6)
    assert np.allclose(
        later.shard(named, 1).toarray(), reference.transform(["beta gamma unseen", ""]).toarray(), atol=1e-6
    )


@settings(deadline=None, max_examples=25)
@given(texts=st.lists(WORDS, min_size=1, max_size=8), sublinear=st.booleans())
def test_hashed_rows_have_unit_length_and_need_no_fit(
    texts: list[str], sublinear: bool, project: Make, items: Make, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A text has the same row whatever came first; repeated words weigh more, less so when sublinear."""
    named = project("text", vectorizer="hashing", max_terms=4_096, sublinear=sublinear)
    alone, mixed = (FeatureFiles(tmp_path_factory.mktemp("home")) for _ in range(2))
    alone.ensure(named, 0, items(["beta beta beta beta gamma"], field="text"))
    mixed.ensure(named, 0, items([*texts, "beta beta beta beta gamma"], field="text"))
    row, other = alone.shard(named, 0).toarray()[0], mixed.shard(named, 0).toarray()[-1]
    assert np.allclose(row, other)
    heavy, light = sorted(row[row > 0], reverse=True)
    assert np.isclose(heavy / light, 1 + np.log(4) if sublinear else 4, atol=1e-4)
    lengths = np.linalg.norm(mixed.shard(named, 0).toarray(), axis=1)
    assert np.all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))


@pytest.mark.parametrize("vectorizer", ["tfidf", "hashing"])
@pytest.mark.parametrize("count", [1, 2, 5, 60])
def test_svd_gives_as_many_dimensions_as_the_data_allow(
    project: Make, items: Make, rows: Make, vectorizer: str, count: int
) -> None:
    """Asking for more dimensions than items or terms is no error; rows have unit length and the seed fixes them."""
    rng = np.random.default_rng(1)
    pool = items([" ".join(f"w{w}" for w in rng.integers(10, 50, 6)) for _ in range(count)], field="text")
    named = project("text", svd=16, vectorizer=vectorizer, max_terms=1_024)
    found = rows(named, pool)
    assert found.shape == (count, min(16, count))
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_svd_keeps_like_texts_together(project: Make, items: Make, rows: Make) -> None:
    """Texts of one theme stay nearer to each other than to those of another."""
    themes = [["cat", "dog", "horse", "bird"], ["rent", "price", "loan", "bank"]]
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(themes[number % 2], 3)) for number in range(40)]
    found = rows(project("text", svd=2), items(texts, field="text"))
    likeness = found @ found.T
    same = np.equal.outer(np.arange(40) % 2, np.arange(40) % 2)
    assert likeness[same].min() > likeness[~same].max()


@pytest.mark.parametrize(
    "texts, options, reason",
    [
        (["one", None], {}, "'item-1': the field 'text' is NoneType, not text"),
        (["one", 5], {}, "'item-1': the field 'text' is int, not text"),
        (["", "?!"], {}, "No terms can be learned from the field 'text' of 2 items.*hashing"),
        (["one two", "three four"], {"min_count": 2}, "features.min_count"),
    ],
)
def test_texts_without_terms_are_an_error(
    project: Make, items: Make, *, rows: Make, texts: list[Any], options: dict[str, Any], reason: str
) -> None:
    """What is no text, or has no words, is told with the remedy."""
    with pytest.raises(InvalidFeatures, match=reason):
        rows(project("text", **options), items(texts, field="text"))


@pytest.mark.parametrize("kind", ["text", "pixels", "embedding"])
def test_a_missing_field_is_named_with_those_that_are_there(project: Make, items: Make, rows: Make, kind: str) -> None:
    """Items of another shape than the project file says."""
    with pytest.raises(InvalidFeatures, match=r"'item-0' has no field '\w+'; its fields: body, id"):
        rows(project(kind), items([{"body": "x", "id": 1}]))


# --- embeddings --------------------------------------------------------------------------------------------


def test_embeddings_are_taken_as_they_are_or_scaled(project: Make, items: Make, tmp_path: Path) -> None:
    """With normalize each row gets unit length; a row of zeros stays one."""
    store, pool = FeatureFiles(tmp_path), items([[3, 4], [0, 0], [0.5, 0]], field="embedding")
    plain, scaled = project("embedding"), project("embedding", normalize=True)
    store.ensure(plain, 0, pool)
    store.ensure(scaled, 0, pool)
    assert store.shard(plain, 0).tolist() == [[3, 4], [0, 0], [0.5, 0]]
    assert np.allclose(store.shard(scaled, 0), [[0.6, 0.8], [0, 0], [1, 0]])


@pytest.mark.parametrize(
    "value, reason",
    [
        ([1.0], "'item-1': the embedding in 'embedding' has 1 numbers where the first one had 2"),
        ([1.0, None], "'item-1': number 1 of 'embedding' is None"),
        ([1.0, 1e300], "'item-1': number 1 of 'embedding' is 1e\\+300"),
        ([1.0, "x"], "'item-1': 'embedding' is not a list of numbers"),
        ([[1.0, 2.0]], "'item-1': 'embedding' is not a list of numbers"),
        ("1.0 2.0", "'item-1': 'embedding' is not a list of numbers"),
        (None, "'item-1': 'embedding' is not a list of numbers"),
    ],
)
def test_a_bad_embedding_is_named(project: Make, items: Make, rows: Make, value: Any, reason: str) -> None:
    """Another length, a hole, or no vector at all."""
    with pytest.raises(InvalidFeatures, match=reason):
        rows(project("embedding"), items([[1.0, 2.0], value], field="embedding"))


def test_a_column_of_one_number_stays_small_when_another_number_comes() -> None:
    """A thousand times 0.1 deviate by rounding alone; by that nothing is divided."""
    section = ColumnFeatures(columns=("x", "y"))
    kept = [
        Item(number=at, key=f"k{at}", data={"x": 0.1, "y": float(at)}, state=ItemState.POOLED) for at in range(1000)
    ]
    later = Item(number=1000, key="later", data={"x": 0.2, "y": 5.0}, state=ItemState.POOLED)
    assert Columns.fit(section, kept).apply([later])[0, 0] == pytest.approx(0.1)
