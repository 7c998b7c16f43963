"""Classifiers of scikit-learn, torch and modAL behind one port."""

from labelloop.adapters.estimators.kinds import EstimatorKinds

__all__ = ["EstimatorKinds"]
