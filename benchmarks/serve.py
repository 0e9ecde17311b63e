"""How long after a drawn digit's last event the page shows its answer, in Chromium with a mouse that is dragged.

    python benchmarks/serve.py RUN --times 10

Serves the run on a free port, opens the page, drags the mouse along strokes, and reads from the page how many
milliseconds passed from the end of the recording's last bin to the frame that shows the final answer (``--fast``: from
the moment at which the pen was lifted, all bins as fast as can be). Needs the extras serve and dev, and Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from serving import drag, running

from gemsnn.serve import served

DONE = ",".join(f"#answer[data-state={state}]" for state in ("sure", "unsure", "strange", "silent"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--chromium", default=os.environ.get("GEMSNN_CHROMIUM") or shutil.which("chromium"))
    given = parser.parse_args()
    found = []
    with running(served.load(given.run)) as address, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        page.check(f"input[value={'fast' if given.fast else 'real'}]")
        for time in range(given.times):
            page.click("#clear")
            page.fill("#seed", str(time))
            page.locator("#answer").evaluate("(answer) => { answer.dataset.state = 'waiting'; }")
            drag(page, "5")
            page.wait_for_selector(DONE)
            found.append(int(page.locator("#answer").get_attribute("data-after-ms") or 0))
            print(f"{page.inner_text('#sentence')}  {found[-1]} ms", flush=True)
        browser.close()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"median {statistics.median(found):g} ms, longest {max(found)} ms; load of the machine {load:.1f}")


if __name__ == "__main__":
    main()
