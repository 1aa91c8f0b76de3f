import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "simulation: a proof by simulation; seconds rather than milliseconds")
