"""Layouts of a pool on a plane by scikit-learn, kept in files; what they are drawn for is not known here."""
