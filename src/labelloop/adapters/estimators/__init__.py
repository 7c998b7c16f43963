"""Classifiers of scikit-learn, torch and modAL behind one port."""

from labelloop.adapters.estimators.kit import EstimatorKit

__all__ = ["EstimatorKit"]
