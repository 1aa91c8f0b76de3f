"""Collection: what stands between a data set's owner and whoever downloads it. Start with `write_manifest`, `check`."""

from pharmakon.collection.differences import Difference, Differences, check
from pharmakon.collection.manifest import Manifest, read_manifest, write_manifest

__all__ = ["Difference", "Differences", "Manifest", "check", "read_manifest", "write_manifest"]
