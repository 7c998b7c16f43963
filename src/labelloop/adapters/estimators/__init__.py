"""Classifiers of scikit-learn, torch and modAL behind one port."""
