"""Caption photos on an exported page in headless Chromium, as a user would, with a clock beside it.

    captioner export --format web --output page
    python tests/tools/page_exercise.py page photos/

Prints how long each photo took by the wall clock, from being chosen to its caption, and of how many photos
the page's caption is that of `captioner caption --precision fp32`. Exits with 1 if one is not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.chromium import By, WebDriverWait, chromium
from support.page import ITEM, served_page

import captioner


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("page", type=Path, help="the folder that the export wrote")
    parser.add_argument("photos", type=Path, help="a folder of photos")
    options = parser.parse_args()
    photos = sorted(path.resolve() for path in options.photos.iterdir() if path.is_file())
    said, seconds = [], []
    with served_page(options.page) as address, chromium() as browser:
        browser.get(address)
        for i, photo in enumerate(photos):
            begin = time.perf_counter()
            browser.find_element(By.ID, "file").send_keys(str(photo))
            wait = WebDriverWait(browser, 120, poll_frequency=0.02)
            said.append(wait.until(lambda b, i=i: b.execute_script(ITEM, i)))
            seconds.append(time.perf_counter() - begin)
    model = captioner.load(precision="fp32")
    same = sum(text == model.caption(photo).text for text, photo in zip(said, photos))
    first, *others = seconds
    print(
        f"the first photo, with loading: {first:.2f} s; the others: median {statistics.median(others):.2f} s,"
    )
    print(f"at most {max(others):.2f} s; {same} of {len(photos)} captions as those of captioner in fp32")
    sys.exit(same < len(photos))


if __name__ == "__main__":
    main()
