"""What the tests of the estimators share; one numeric thread, as worker processes have."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from estimator_cases import SPECS, Task
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from labelloop.adapters.estimators import EstimatorKinds
from labelloop.projects import ModelSpec


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits() -> Task:
    """Pictures of 8 × 8 pixels, float32, of the digits 2, 5 and 7."""
    pixels, digit = load_digits(return_X_y=True)
    kept = np.flatnonzero(np.isin(digit, (2, 5, 7)))
    pixels, digit = pixels[kept].astype(np.float32), digit[kept].astype(np.int64)
    return Task(features=pixels[:120], codes=digit[:120], unseen=pixels[120:], truth=digit[120:])


@pytest.fixture(scope="session")
def words() -> Task:
    """Counts of 300 words, sparse: each class has 10 words that it uses more."""
    rng = np.random.default_rng(5)
    codes = rng.choice([2, 5, 7], size=400)
    rates = np.full((400, 300), 0.03)
    for place, code in enumerate((2, 5, 7)):
        rates[codes == code, 10 * place : 10 * place + 10] = 0.5
    counts = rng.poisson(rates).astype(np.float32)
    return Task(features=csr_array(counts[:150]), codes=codes[:150], unseen=csr_array(counts[150:]), truth=codes[150:])


@pytest.fixture(scope="session")
def estimators() -> EstimatorKinds:
    return EstimatorKinds()


@pytest.fixture(params=list(SPECS))
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    """Each model section in turn."""
    return SPECS[request.param]
