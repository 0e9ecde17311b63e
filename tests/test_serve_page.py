"""The page in Chromium, with a mouse that is really dragged, on a wide and on a narrow window."""

from __future__ import annotations

import os
import shutil

import pytest
from serving import TOKEN, certified_run, drag, hearing, running, sending

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
    served = loading.load(certified_run(tmp_path_factory.mktemp("page")))
    with hearing(served) as (live, port), running(served, live=live) as found, sending(port):
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
    page.on(
        "request", lambda asked: None if asked.url.startswith((address, "data:")) else wrong.append(asked.url)
    )
    page.goto(f"{address}#token={TOKEN}")
    page.wait_for_selector("body[data-ready]")
    yield page
    page.close()
    assert not wrong


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
        assert (
            page.evaluate(
                f"(() => {{ const c = document.getElementById('{name}'); const d = c.getContext('2d')"
                ".getImageData(0, 0, c.width, c.height).data; return new Set(new Uint32Array(d.buffer)).size; })()"
            )
            > 2
        ), name


def test_the_slider_asks_fewer_compartments(page):
    drag(page, "4")
    answered(page)
    page.locator("#compartments").focus()
    page.keyboard.press("Home")
    assert page.inner_text("#number") == "1"
    assert "1 of 5 compartments" in page.inner_text("#detail")
    assert "nothing is promised" in page.inner_text("#set-promise")
    page.keyboard.press("End")
    assert "of 5 compartments" not in page.inner_text("#detail")
    assert "the right one is missing" in page.inner_text("#set-promise")


def test_a_lesson_is_taught_and_undone(page):
    drag(page, "1")
    answered(page)
    before = page.locator(".bar > :last-child").all_inner_texts()
    page.locator("#learn").check()
    page.select_option("#lesson", "7")
    page.click("#again")
    assert answered(page).startswith("Taught as 7.")
    page.locator("#learn").uncheck()
    page.click("#again")
    answered(page)
    assert "1 lesson taught" in page.inner_text("#lessons")
    assert page.locator(".bar > :last-child").all_inner_texts() != before
    page.click("#undo")
    page.wait_for_selector("#undo:disabled")
    assert "Nothing has been taught" in page.inner_text("#lessons")
    page.click("#again")
    answered(page)
    assert page.locator(".bar > :last-child").all_inner_texts() == before


def test_recordings_are_picked_and_keys_draw(page):
    page.select_option("#recordings", "1")
    page.click("#pick")
    answered(page)
    assert "It was recorded as" in page.inner_text("#detail")
    page.locator("#pad").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(8):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    answered(page)
    assert "It was recorded as" not in page.inner_text("#detail")


def test_a_new_stroke_takes_the_place_of_what_is_shown(page):
    """A digit of two strokes: the first showing is given up, and the answer is that of both."""
    page.check("input[value=fast]")
    drag(page, "4")
    answered(page)
    page.wait_for_timeout(200)
    whole = page.locator(".bar > :last-child").all_inner_texts()
    page.check("input[value=real]")
    page.click("#clear")
    drag(page, "4")
    answered(page)
    assert page.locator(".bar > :last-child").all_inner_texts() == whole
    assert page.locator("#problem").is_hidden()


def until(page, expression: str) -> None:
    """Wait until it is true of the page, whose rules forbid the waiting of playwright's own (no eval)."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


def test_a_sensor_is_seen_live_until_it_is_stopped(page):
    page.click("#live")
    page.wait_for_selector("#answer[data-state=live]")
    assert page.inner_text("#live") == "Stop"
    until(page, "/^\\d+ ms after its bin$/.test(document.getElementById('delay').textContent)")
    # events of the sensor
    until(
        page,
        "(() => { const c = document.getElementById('sensor'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; return new Set(new Uint32Array(d.buffer)).size > 2; })()",
    )
    drawn = page.evaluate("document.getElementById('course').seen")
    until(page, f"document.getElementById('course').seen !== {drawn!r}")  # a second stretch has begun
    page.click("#live")
    page.wait_for_selector(DONE)
    assert page.inner_text("#live") == "Live"
    assert "it was stopped" in page.inner_text("#sentence")
    page.click("#live")
    page.wait_for_selector("#answer[data-state=live]")
    drag(page, "5")  # what is drawn takes the place of the sensor
    answered(page)
    assert page.inner_text("#live") == "Live"
    assert page.locator("#problem").is_hidden()


def test_without_the_token_nothing_is_taught(browser, address):
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce")
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    assert page.locator("#learn").is_disabled()
    assert "by the address that the server printed" in page.inner_text("#lessons")
    assert page.is_checked("input[value=fast]")  # nothing moves for who wants nothing to
    drag(page, "5")
    answered(page)
    context.close()


def test_the_token_leaves_the_address(page):
    assert TOKEN not in page.url
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.locator("#learn").is_enabled()
