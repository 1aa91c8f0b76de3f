"""The errors a user can meet: each names the rule, the value and the way out."""

from __future__ import annotations


class PharmakonError(Exception):
    """Base of every error that is an answer to the user; the command line prints it and exits with 2."""


class InputError(PharmakonError):
    """A file, an option or an argument from outside does not follow the rule the message names."""


class SpecError(PharmakonError):
    """A study, arm, dose or other specification contradicts itself or cannot be identified."""


class StoreError(PharmakonError):
    """The store cannot be read or written: a full disk, a missing permission."""


class RunError(PharmakonError):
    """A cell could not be built: the loss was not a number, memory ran out, a worker died."""
