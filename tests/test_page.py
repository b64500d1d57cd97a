"""The report in a real browser: Debian's Chromium, driven by playwright."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import npm, reporting
from tests.project import PROJECT, ROOT, Evals
from tests.reporting import BASE_RUN, HEAD_RUN

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report of a comparison."""
    folder = tmp_path_factory.mktemp("report") / "project"
    shutil.copytree(PROJECT, folder)
    evals = Evals(folder)
    reporting.fill(evals.output)
    evals("compare", BASE_RUN, HEAD_RUN, "--write", "kept", status=None)
    evals("report", "kept", "--to", "out", "--format", "html")
    return folder / "out"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless browser."""
    if CHROMIUM is None:
        npm.lacking("chromium", "Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page on which nothing may go wrong: no error, no complaint, no request to anywhere."""
    opened = browser.new_page()
    troubles: list[str] = []
    opened.on("console", lambda message: troubles.append(message.text))
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("request", lambda request: troubles.append(request.url) if request.url.startswith("http") else None)
    yield opened
    opened.close()
    assert troubles == []


def shown(page: Any) -> list[str]:
    rows = page.locator("table.matrix tbody tr").all()
    return [row.locator("code").first.inner_text() for row in rows if row.is_visible()]


def test_the_verdict_comes_first_and_the_picture_is_there(page: Any, report: Path) -> None:
    page.goto(f"file://{report}/index.html")
    assert page.locator("h2").first.inner_text().startswith("● inconclusive")
    picture = page.locator("figure img")
    assert picture.evaluate("image => image.complete && image.naturalWidth > 300")


def test_checks_are_filtered_and_sorted(page: Any, report: Path) -> None:
    page.goto(f"file://{report}/index.html")
    assert len(shown(page)) == 6
    page.check("#changed")
    assert shown(page) == ["test_survives_a_kill"]
    assert page.locator("#count").inner_text() == "1 checks"
    page.uncheck("#changed")
    page.fill("#find", "SECRET")
    assert shown(page) == ["test_secret_is_refused"] * 2
    page.fill("#find", "")
    head = page.locator("table.matrix").first.locator("thead button", has_text="head")
    head.click()
    assert shown(page)[0] == "test_survives_a_kill"
    head.click()
    assert shown(page)[2] == "test_survives_a_kill"
    assert page.locator("th[aria-sort=descending]").count() == 1


def test_a_failed_check_leads_to_its_reason_by_keyboard_alone(page: Any, report: Path) -> None:
    page.goto(f"file://{report}/index.html")
    page.check("#failing")
    page.locator(".strip button").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").startswith("head epoch 1")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"trials/.*#check-test_survives_a_kill"))
    assert "GET /echo -> 500" in page.locator("#check-test_survives_a_kill").inner_text()


def test_a_hostile_delivery_is_only_text(page: Any, report: Path) -> None:
    for path in sorted(report.rglob("*.html")):
        page.goto(f"file://{path}")
        assert page.title() != "owned"
        assert page.locator("img[src=x]").count() == 0


def test_every_link_leads_somewhere(page: Any, report: Path) -> None:
    page.goto(f"file://{report}/index.html")
    links = page.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(links) > 24
    assert all((report / link.partition("#")[0]).is_file() for link in links)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(browser: Any, report: Path, scheme: str) -> None:
    axe = (npm.installed(ROOT / "tests" / "axe") / "node_modules" / "axe-core" / "axe.min.js").read_text()
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    pages = [report / "index.html", *(min(report.glob(f"{kind}/*.html")) for kind in ("trials", "diffs"))]
    for path in pages:
        page.goto(f"file://{path}")
        page.evaluate(axe)
        found = page.evaluate("axe.run()")
        assert [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found["violations"]] == [], path
    context.close()


def test_it_fits_a_phone_and_paper(page: Any, report: Path) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    for path in (report / "index.html", *sorted(report.glob("trials/*.html"))[:1]):
        page.goto(f"file://{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.goto(f"file://{report}/index.html")
    page.emulate_media(media="print")
    assert not page.locator("#filters").is_visible()
