"""A headless Chromium for tests, and what they ask of a caption that it shows."""

from __future__ import annotations

import base64
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("selenium", reason="selenium is missing: bash scripts/test.sh --browser installs it")
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

__all__ = ["ActionChains", "By", "Keys", "WebDriverWait"]  # which the tests import from here, or are skipped

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
needed = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="Chromium or chromedriver is missing: bash scripts/test.sh --browser"
)


@contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """A driver of a browser that ends with the block."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,1000",
        *flags,
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


def wait(browser: Any, selector: str) -> None:
    WebDriverWait(browser, 60).until(lambda b: b.find_elements(By.CSS_SELECTOR, selector))


def words(browser: Any) -> list[Any]:
    return browser.find_elements(By.CSS_SELECTOR, "[role=option]")  # type: ignore[no-any-return]


def drawn(browser: Any, expected: str) -> None:
    """Wait until the canvas shows a word, by its number, or the photo alone, which is ""."""
    script = "const { dataset, classList } = document.querySelector('.seen canvas');"
    script += "return [dataset.drawn, classList.contains('on')]"
    WebDriverWait(browser, 60).until(lambda b: b.execute_script(script) == [expected, expected != ""])


def pixels(browser: Any) -> np.ndarray:
    """What the canvas holds, (height, width, 3)."""
    uri = browser.execute_script("return document.querySelector('.seen canvas').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"), int)


def select(browser: Any, i: int) -> None:
    words(browser)[i].click()
    drawn(browser, str(i))


def _renderers(browser: Any) -> Iterator[Path]:
    """Folders in /proc of the processes that show the browser's pages."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # ended meanwhile
            continue
        children.setdefault(parent, []).append(int(folder.name))
    left = [browser.service.process.pid]
    while left:
        below = children.get(left.pop(), [])
        left += below
        folders = [Path(f"/proc/{process}") for process in below]
        yield from (f for f in folders if b"--type=renderer" in (f / "cmdline").read_bytes())


def page_memory(browser: Any) -> float:
    """Megabytes (10^6 bytes) that the page's process takes, what it shares counted by its share (Pss)."""
    found = [0.0]
    for folder in _renderers(browser):
        lines = (folder / "smaps_rollup").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:")]
    return max(found)  # others wait for pages to come


def page_seconds(browser: Any) -> float:
    """Seconds of processors that its pages have taken until now, however busy the machine is."""
    ticks = 0
    for folder in _renderers(browser):
        user, system = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        ticks += int(user) + int(system)
    return ticks / os.sysconf("SC_CLK_TCK")
