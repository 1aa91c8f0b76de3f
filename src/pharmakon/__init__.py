"""Pharmakon: a laboratory for language-model training data."""

__version__ = "0.4.0"
