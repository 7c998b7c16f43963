"""The labeled data sets that ship inside scikit-learn, as items: no download, the same everywhere."""

from typing import Any

from labelloop.domain.types import NewItem


def items(name: str) -> list[NewItem]:
    """All rows of one set, in its own order, with keys such as `digits-0007`.

    Digits are pictures: 8 rows of 8 grey values from 0 to 16 under `image`. The others are tables: a field per column,
    named as scikit-learn names it.
    """
    from sklearn import datasets

    loaders = {
        "digits": datasets.load_digits,
        "breast_cancer": datasets.load_breast_cancer,
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
    }
    found = loaders[name]()
    if name == "digits":
        data = [{"image": image} for image in found.images.astype(int).tolist()]
    else:
        columns = [str(column) for column in found.feature_names]
        data = [dict(zip(columns, row, strict=True)) for row in found.data.tolist()]
    return [
        NewItem(key=f"{name}-{number:04d}", data=row, label=_class(found, code), line=number + 1)
        for number, (row, code) in enumerate(zip(data, found.target.tolist(), strict=True))
    ]


def _class(found: Any, code: int) -> str:
    return str(found.target_names[code])
