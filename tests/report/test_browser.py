"""The page in a real browser. Skipped where there is none, unless CI_NEEDS_BROWSER is set."""

import os
import shutil
from pathlib import Path

import pytest

from benchmarks.plan import plan
from qkd.spec import Method
from report.build import build
from tests.support.report_records import (
    FP,
    KD,
    QAT,
    QKD,
    cell_of,
    matrix,
    record_of,
    write_failed,
    write_run,
)

if os.environ.get("CI_NEEDS_BROWSER"):
    import playwright.sync_api as api
else:
    api = pytest.importorskip("playwright.sync_api")
ROOT = Path(__file__).parents[2]
AXE = ROOT / ".cache" / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = (390, 820, 1440)
ATTACK = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"

SEEDS = (0, 1, 2)


def needs(condition, what):
    """Skips the test with a reason, or fails it where a skip would hide that nothing was tested."""
    if not condition and os.environ.get("CI_NEEDS_BROWSER"):
        pytest.fail(f"there is no {what}")
    if not condition:
        pytest.skip(f"there is no {what} on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with done, failed and missing runs, and records that attack it; and its matrix."""
    folder = tmp_path_factory.mktemp("browser")
    noted = Method(name="kd", shares=KD.shares, note=ATTACK)
    toy = matrix(methods=(FP, QKD, QAT, noted), seeds=SEEDS, scale="laptop")
    values = {"qkd": (72.0, 72.4, 71.9), "qat": (70.5, 70.0, 69.0), "kd": (70.1, 70.2, 70.3)}
    top1s = {(m, s): v[s] for m, v in values.items() for s in SEEDS if (m, s) != ("kd", 2)}
    write_run(folder / "results", toy, top1s)
    ends = plan(toy.cells()).stages
    write_failed(folder / "results", ends[cell_of(toy, "qat", 2).history.digest].stage, ATTACK)
    log = record_of(folder / "results", cell_of(toy, "qkd", 0).history).log_file
    log.write_text(f"first\n{ATTACK}\n\x1b[31mlast \u202eline\n")
    build(folder / "results", folder / "index.html", folder / "no-reference")
    return folder / "index.html", toy


@pytest.fixture(scope="module")
def browser():
    needs(shutil.which("chromium"), "chromium")
    with api.sync_playwright() as playwright:
        # As root, in a container, chromium's own sandbox cannot be set up.
        started = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield started
        started.close()


@pytest.fixture
def opened(browser, page):
    """A function that opens the page; afterwards nothing may have been said or asked for."""
    said, asked, contexts = [], [], []

    def open_page(fragment="", width=1440, scheme="light", scripts=True):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=scripts,
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(f"{page[0].as_uri()}{fragment}")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert {url.partition("#")[0] for url in asked} <= {page[0].as_uri()}


def unfolded(tab):
    """The tab with its section unfolded, as a reader does it."""
    tab.get_by_text("Contrasts, methods, figures and every run").click()
    return tab


def column(tab, place):
    return tab.eval_on_selector_all(
        f".runs tbody tr:not([hidden]) > :nth-child({place})",
        "cells => cells.map(cell => cell.firstChild.textContent.trim())",
    )


def test_nothing_is_executed_asked_for_or_complained_of(opened):
    tab = opened()
    assert tab.title() == "QKD, reproduced"
    assert tab.locator("img").count() == 0
    assert "owned" in tab.content()  # the attack is there, as text


def test_the_first_screen_is_what_came_out_and_all_else_is_folded(opened):
    tab = opened()
    assert tab.locator("#headline").is_visible()
    # The differences by length, and the paper's Figure 1: one of two, by the window's width.
    assert tab.locator("svg.figure:visible").count() == 2
    assert tab.locator("table:visible").count() == 1
    assert tab.locator("#headline").bounding_box()["y"] < 900


@pytest.mark.parametrize("scripts", [True, False])
def test_a_link_into_a_fold_opens_it(opened, page, scripts):
    digest = cell_of(page[1], "qkd", 1).history.digest
    tab = opened(f"#row-{digest}", scripts=scripts)
    assert tab.locator(f"[id='row-{digest}']").is_visible()


def test_runs_are_sorted_by_number_and_back(opened):
    tab = unfolded(opened())
    head = tab.get_by_role("region", name="Every run").get_by_role("button", name="test top-1, %")
    head.click()
    rising = [float(text) for text in column(tab, 5) if text[0].isdigit()]
    assert rising == sorted(rising)
    assert len(rising) == 8
    head.click()
    falling = [float(text) for text in column(tab, 5) if text[0].isdigit()]
    assert falling == rising[::-1]
    assert tab.locator('.runs th[aria-sort="descending"]').count() == 1


def test_runs_are_filtered_by_every_column_at_once(opened):
    tab = unfolded(opened())
    tab.get_by_label("Filter by method").fill("q")
    assert set(column(tab, 1)) == {"qkd", "qat"}
    tab.get_by_label("Filter by test top-1, %").fill("> 71.95")
    assert column(tab, 5) == ["72.00", "72.40"]
    assert tab.locator("output").inner_text() == "2 of 10 runs shown"
    tab.get_by_label("Filter by test top-1, %").fill("")
    tab.get_by_label("Filter by status").fill("failed")
    assert column(tab, 1) == ["qat"]


def test_a_permalink_opens_its_drawer_and_escape_closes_it(opened, page):
    digest = cell_of(page[1], "qkd", 1).history.digest
    tab = opened(f"#{digest}")
    drawer = tab.locator(f"[id='{digest}']")
    assert drawer.is_visible()
    assert "ONLY='bits=w2a2 method=qkd' SEEDS=1" in drawer.inner_text()
    api.expect(drawer).to_be_focused()
    tab.keyboard.press("Escape")
    api.expect(drawer).to_be_hidden()
    api.expect(tab.locator(".drawer:visible")).to_have_count(0)


def test_the_keyboard_opens_a_drawer_and_comes_back_to_its_row(opened):
    tab = unfolded(opened())
    link = tab.locator(".runs tbody tr").nth(4).get_by_role("link").first
    link.focus()
    tab.keyboard.press("Enter")
    api.expect(tab.locator(".drawer:visible")).to_have_count(1)
    tab.locator(".drawer:visible .close").press("Enter")
    api.expect(tab.locator(".drawer:visible")).to_have_count(0)
    api.expect(link).to_be_focused()  # it follows in an event of its own


def test_without_scripts_every_table_and_drawer_can_be_read(opened, page):
    digest = cell_of(page[1], "qkd", 0).history.digest
    tab = opened(f"#{digest}", scripts=False)
    drawer = tab.locator(f"[id='{digest}']")
    assert drawer.is_visible()
    assert "last \N{REPLACEMENT CHARACTER}line" in drawer.inner_text()
    assert tab.locator(".runs tbody tr").count() == 10
    drawer.locator(".close").click()
    assert not drawer.is_visible()


def test_what_is_taken_away_is_what_is_shown(opened):
    tab = unfolded(opened())
    with tab.expect_download() as download:
        tab.locator("a[download='toy-laptop-runs.csv']").click()
    text = Path(download.value.path()).read_text()
    assert text.startswith("method,bits,seed,status,")
    assert len(text.splitlines()) == 11
    with tab.expect_download() as download:
        tab.locator("a[download='toy-laptop-0-accuracy.svg']").click()
    assert "--student:" in Path(download.value.path()).read_text()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_as_wide_as_the_window(opened, width):
    tab = opened(width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    region = tab.locator(".table.headline").bounding_box()
    assert region["x"] >= 0
    assert region["x"] + region["width"] <= width


@pytest.mark.parametrize(
    ("place", "scheme"),
    [
        ("page", "light"),
        ("drawer", "dark"),
        pytest.param("page", "dark", marks=pytest.mark.slow),
        pytest.param("drawer", "light", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_no_serious_violation(opened, page, scheme, place):
    needs(AXE.exists(), "axe-core in .cache (.ci/run fetches it)")
    digest = cell_of(page[1], "qkd", 0).history.digest
    tab = opened("" if place == "page" else f"#{digest}", scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    tab.evaluate(AXE.read_text(encoding="utf-8"))
    found = tab.evaluate("axe.run()")["violations"]
    serious = {
        one["id"]: [node["target"] for node in one["nodes"]][:3]
        for one in found
        if one["impact"] in ("serious", "critical")
    }
    assert serious == {}
