"""``python -m report.picture``: the first screen of the report, for the README.

It needs playwright and the system's Chromium, which only development does.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from report.build import build

OUTPUT = Path(__file__).resolve().parent / "picture.png"
WIDTH, HEIGHT = 1240, 1760  # CSS pixels: the table and the figure


def main() -> int:
    """Pictures the report of the committed references alone; returns an exit code."""
    browser = shutil.which("chromium")
    if browser is None:
        print("there is no chromium: apt-get install chromium", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "index.html"
        build(Path(folder) / "results", page)
        # As root, in a container, chromium's own sandbox cannot be set up.
        started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab = started.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        tab.goto(page.as_uri())
        tab.screenshot(path=OUTPUT)
        started.close()
    print(f"{OUTPUT}: {OUTPUT.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
