"""Bridges to other tools; each needs an extra of its own and is imported only where it is used."""
