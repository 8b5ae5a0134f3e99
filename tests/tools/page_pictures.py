"""Draw README's pictures of the pages in headless Chromium: page.png, page-dark.png and serve.png.

python tests/tools/page_pictures.py docs
"""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.chromium import By, WebDriverWait, chromium, drawn, select, wait
from support.page import ITEM
from support.served import served

import captioner
from captioner.visualize.page import entry, save_page

PHOTOS = Path(str(files("captioner.web").joinpath("photos")))
WINDOW = ("--window-size=1280,1055", "--hide-scrollbars")
SERVED = ("camera", "hopper", "cat", "rocket")  # the last is shown


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    model = captioner.load()
    with TemporaryDirectory() as made:
        page = Path(made, "page.html")
        save_page([entry(model.caption(PHOTOS / "camera.jpg"), "camera.jpg")], page)
        for name, flags in (("page", ()), ("page-dark", ("--blink-settings=preferredColorScheme=0",))):
            with chromium(*WINDOW, *flags) as browser:
                browser.get(page.as_uri())
                picture(browser, 1, folder / f"{name}.png")
    with served(model, name="pretrained") as port, chromium(*WINDOW) as browser:
        browser.get(f"http://127.0.0.1:{port}/")
        for i, name in enumerate(SERVED):
            browser.find_element(By.ID, "file").send_keys(str(PHOTOS / f"{name}.jpg"))
            WebDriverWait(browser, 120).until(lambda b, i=i: b.execute_script(ITEM, i))
        wait(browser, "[role=option]")
        picture(browser, -1, folder / "serve.png")


def picture(browser: Any, word: int, path: Path) -> None:
    """The window with one of the words selected and the pointer elsewhere."""
    words = browser.find_elements(By.CSS_SELECTOR, "[role=option]")
    select(browser, word % len(words))
    drawn(browser, str(word % len(words)))
    browser.save_screenshot(str(path))


if __name__ == "__main__":
    main()
