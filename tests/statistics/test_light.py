import subprocess
import sys


def test_import_is_light() -> None:
    """scipy and statsmodels cost a second: they are imported where they are used."""
    code = "import sys, pharmakon.statistics; print({'scipy', 'statsmodels', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
