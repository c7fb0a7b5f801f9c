"""Before anything is installed: is this Python new enough, and is there room? Plain Python."""

import shutil
import sys
from pathlib import Path

OLDEST = (3, 11)
GIBIBYTES = 10 if sys.platform == "linux" else 3


def main() -> None:
    """Exits with one clear line where the installation could not succeed."""
    if sys.version_info < OLDEST:
        sys.exit(
            f"Python {sys.version.split()[0]} is too old: 3.11 or newer is needed. If you "
            "have one, name it: make setup PYTHON=python3.12"
        )
    try:
        import ensurepip  # noqa: F401 (Debian packs it apart)
    except ImportError:
        sys.exit("Python's venv module is missing: sudo apt-get install python3-venv")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    if free < GIBIBYTES:
        sys.exit(
            f"the installation takes up to {GIBIBYTES} GiB (torch and its GPU libraries), "
            f"and {free:.1f} GiB are free here: make room"
        )


if __name__ == "__main__":
    main()
