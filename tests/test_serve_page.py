"""The page in Chromium, with a mouse that is really dragged, on a wide and on a narrow window."""

from __future__ import annotations

import os
import shutil

import pytest
from serving import STROKES, TOKEN, certified_run, running

pytest.importorskip("fastapi", reason="needs the extra serve")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

from gemsnn.serve import served as loading  # noqa: E402

CHROMIUM = os.environ.get("GEMSNN_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (or its path in GEMSNN_CHROMIUM)"),
]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
DONE = ",".join(f"#answer[data-state={state}]" for state in ("sure", "unsure", "strange", "silent"))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with running(loading.load(certified_run(tmp_path_factory.mktemp("page")))) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(params=[WIDE, NARROW], ids=["wide", "narrow"])
def page(request, browser, address):
    """The page, which must not complain nor ask anybody else for anything."""
    page, wrong = browser.new_page(viewport=request.param), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda asked: None if asked.url.startswith((address, "data:")) else wrong.append(asked.url))
    page.goto(f"{address}#token={TOKEN}")
    page.wait_for_selector("body[data-ready]")
    yield page
    page.close()
    assert not wrong


def drag(page, name: str) -> None:
    """Draw a digit with the mouse."""
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    for stroke in STROKES[name]:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=2)
        page.mouse.up()


def answered(page) -> str:
    page.wait_for_selector("#answer[data-state=looking]")
    page.wait_for_selector(DONE)
    return page.inner_text("#sentence")


def test_a_drawn_digit_is_answered_and_seen(page):
    drag(page, "5")
    said = answered(page)
    assert said.startswith(("This is", "Unsure", "This looks like nothing"))
    shares = [float(text.split()[-2]) for text in page.locator(".bar > :last-child").all_inner_texts()]
    assert 95 <= sum(shares) <= 105
    assert page.locator("#answer").get_attribute("data-after-ms").isdigit()
    # nothing is wider than the window, and all views have been drawn on
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for name in ("pad", "sensor", "course", "output", "rasters", "confidence"):
        assert page.evaluate(
            f"(() => {{ const c = document.getElementById('{name}'); const d = c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data; return new Set(new Uint32Array(d.buffer)).size; })()"
        ) > 2, name
