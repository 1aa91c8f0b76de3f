"""Ownership on files: mark a data set with a secret key, and ask a model whether it has learned the marks."""
