"""The labeled set of a project as arrays: features and codes of the pool and of the test set.

Reading is the files adapter's, features are the features adapter's: fitted on the pool alone, as in the service.
"""
