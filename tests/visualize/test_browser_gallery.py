"""The index of many photos in a real browser: how soon it is there, search, keys, Back, and paper."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import chromium
from support.captions import caption_of, drawing
from support.chromium import By, Keys, WebDriverWait, page_memory, page_seconds

from captioner.visualize.gallery import Item, gallery, photo_page, thumbnail

pytestmark = chromium.needed
SENTENCE = "a small red circle is left of a large yellow square with two dogs on the grass"
WORDS = SENTENCE.split()
Browser = Any


def caption_text(i: int) -> str:
    return " ".join(WORDS[(7 * i + 3 * k) % len(WORDS)] for k in range(11))


def build(folder: Path, count: int, pages: int = 12) -> Path:
    """An index of ``count`` photos, the first of which have pages of their own; the rest have those too."""
    parts = folder / "index_files"
    parts.mkdir(parents=True)
    for i in range(1, count + 1):
        page, picture = parts / f"{i:05d}.html", parts / f"{i:05d}.jpg"
        if i <= pages:
            caption = caption_of(f"photo {i}", photo=drawing(400, 300))
            photo_page(caption, f"IMG_{i:05d}.jpg", page)
            thumbnail(caption, picture)
        else:
            os.link(parts / "00001.html", page)
            picture.write_bytes((parts / "00001.jpg").read_bytes())
    texts = [caption_text(i) if i != 7 else "a unicorn" for i in range(1, count + 1)]
    items = [Item(f"index_files/{i:05d}", text, f"IMG_{i:05d}.jpg", "x") for i, text in enumerate(texts, 1)]
    gallery(items, folder / "index.html")
    return folder / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("pages"), 300)


@pytest.fixture
def opened(browser: Browser, index: Path) -> Callable[..., Browser]:
    """Opens the index, by default wide enough for two panes."""

    def open_index(fragment: str = "", width: int = 1280) -> Browser:
        device = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 768}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
        browser.get("about:blank")
        browser.get_log("browser")
        browser.get(index.as_uri() + fragment)
        return browser

    return open_index


def listed(browser: Browser) -> list[str]:
    """Names of the rows that there are."""
    return browser.execute_script(  # type: ignore[no-any-return]
        "return [...document.querySelectorAll('.list .name')].map((e) => e.textContent)"
    )


def current(browser: Browser) -> str:
    """The name of the photo that is marked in the list; empty if none is."""
    return browser.execute_script(  # type: ignore[no-any-return]
        "return document.querySelector('.list [aria-current] .name')?.textContent ?? ''"
    )


def shows(browser: Browser, number: int) -> None:
    """Wait until a photo is marked, and its page is in the frame."""
    WebDriverWait(browser, 30).until(lambda b: current(b) == f"IMG_{number:05d}.jpg")
    frame = browser.find_element(By.CSS_SELECTOR, "iframe")
    name = f"IMG_{number:05d}.jpg"

    def there(_: object) -> bool:
        browser.switch_to.frame(frame)
        try:
            return any(e.text == name for e in browser.find_elements(By.CSS_SELECTOR, "h1"))
        except Exception:  # the page changes while it is read
            return False
        finally:
            browser.switch_to.default_content()

    WebDriverWait(browser, 30).until(there)


def press(browser: Browser, *keys: str) -> None:
    for key in keys:
        chromium.ActionChains(browser).send_keys(key).perform()


def counted(browser: Browser) -> str:
    return browser.find_element(By.CSS_SELECTOR, ".count").text  # type: ignore[no-any-return]


# --- how soon ---------------------------------------------------------------------------------------


def seconds_until_used(browser: Browser, index: Path) -> float:
    """From the start of the navigation until the page is loaded, its first pictures are shown, and a search
    that is typed has an answer."""
    browser.get("about:blank")
    browser.get(index.as_uri())
    return browser.execute_async_script(  # type: ignore[no-any-return]
        """
        const done = arguments[0];
        (function look() {
          const images = [...document.querySelectorAll(".list img")].slice(0, 8);
          const shown = images.length === 8 && images.every((i) => i.complete && i.naturalWidth);
          const loaded = performance.getEntriesByType("navigation")[0].loadEventEnd;
          if (!shown || !loaded) return requestAnimationFrame(look);
          const input = document.querySelector("input");
          input.value = "unicorn";
          input.dispatchEvent(new Event("input"));
          requestAnimationFrame(() => {
            if (!document.querySelector(".count").textContent.startsWith("1 of ")) done(Infinity);
            done(performance.now() / 1000);
          });
        })();
        """
    )


def test_rows_near_the_window_alone_are_elements(tmp_path: Path) -> None:
    """The test below with fewer photos and in seconds of a processor, as other programs may run too."""
    index = build(tmp_path, 600)
    with chromium.chromium() as browser:
        browser.get("about:blank")
        before = page_seconds(browser)
        seconds_until_used(browser, index)
        assert 0 < page_seconds(browser) - before < 1
        assert 0 < page_memory(browser) < 200
        browser.get(index.as_uri())
        assert 10 < len(listed(browser)) < 60
        browser.execute_script("document.querySelector('.list').scrollTop = 1e9")
        WebDriverWait(browser, 30).until(lambda b: "IMG_00600.jpg" in listed(b))
        assert len(listed(browser)) < 60


@pytest.mark.slow
def test_index_of_5000_photos_is_there_within_a_second_and_is_light(tmp_path: Path) -> None:
    index = build(tmp_path, 5000)
    with chromium.chromium() as browser:
        seconds = [seconds_until_used(browser, index)]
        memory = page_memory(browser)
        seconds += [seconds_until_used(browser, index) for _ in range(4)]
        print(f"{seconds} s, {memory:.0f} MB")
        assert min(seconds) < 1
        assert 0 < memory < 200


def test_every_photo_is_reached_by_scrolling(opened: Callable[..., Browser]) -> None:
    browser = opened()
    seen: set[str] = set()
    for top in range(0, 300 * 80, 600):
        browser.execute_script("document.querySelector('.list').scrollTop = arguments[0]", top)
        WebDriverWait(browser, 30).until(
            lambda b: b.execute_script(
                "const l = document.querySelector('.list').getBoundingClientRect();"
                "const e = document.elementFromPoint(l.left + 100, l.top + 20); return !!e.closest('a')"
            )
        )
        seen |= set(listed(browser))
    assert seen == {f"IMG_{i:05d}.jpg" for i in range(1, 301)}
    assert browser.get_log("browser") == []


# --- search -----------------------------------------------------------------------------------------


def test_search_filters_by_caption_and_by_name_and_the_address_keeps_it(
    opened: Callable[..., Browser],
) -> None:
    browser = opened()
    assert counted(browser) == "300 photos"
    press(browser, "/")
    press(browser, "unic")
    assert (listed(browser), counted(browser)) == (["IMG_00007.jpg"], "1 of 300")
    assert browser.current_url.endswith("#search=unic")
    browser.refresh()
    assert (listed(browser), counted(browser)) == (["IMG_00007.jpg"], "1 of 300")
    assert browser.find_element(By.CSS_SELECTOR, "input").get_property("value") == "unic"
    search = browser.find_element(By.CSS_SELECTOR, "input")
    search.clear()
    search.send_keys("img_0001 RED")
    expected = [i for i in range(10, 20) if "red" in caption_text(i)]
    assert expected and listed(browser) == [f"IMG_{i:05d}.jpg" for i in expected]
    search.clear()
    search.send_keys("nothing like it")
    assert (listed(browser), counted(browser)) == ([], "0 of 300")


def test_arrows_step_through_what_was_found(opened: Callable[..., Browser]) -> None:
    browser = opened("#search=img_0000")
    press(browser, "/", Keys.ENTER)
    shows(browser, 1)
    press(browser, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    shows(browser, 3)
    press(browser, *[Keys.ARROW_RIGHT] * 9)
    shows(browser, 9)  # the last that was found
    assert browser.find_element(By.CSS_SELECTOR, ".position").text == "9 of 9"
    assert browser.current_url.endswith("#search=img_0000&photo=9")


# --- a photo's page ---------------------------------------------------------------------------------


def test_arrows_in_a_photos_page_step_and_words_keep_theirs(opened: Callable[..., Browser]) -> None:
    browser = opened()
    shows(browser, 1)
    frame = browser.find_element(By.CSS_SELECTOR, "iframe")
    browser.switch_to.frame(frame)
    browser.find_element(By.CSS_SELECTOR, "h1").click()
    browser.switch_to.default_content()
    press(browser, Keys.ARROW_RIGHT)
    shows(browser, 2)
    press(browser, Keys.ARROW_RIGHT)  # the new page has the keys
    shows(browser, 3)
    press(browser, Keys.ARROW_LEFT)
    shows(browser, 2)
    browser.switch_to.frame(frame)
    chromium.select(browser, 0)
    press(browser, Keys.ARROW_RIGHT)
    chromium.drawn(browser, "1")
    browser.switch_to.default_content()
    shows(browser, 2)
    browser.switch_to.frame(frame)
    browser.find_element(By.CSS_SELECTOR, "h1").click()
    press(browser, "/")
    browser.switch_to.default_content()
    WebDriverWait(browser, 30).until(lambda b: b.switch_to.active_element.tag_name == "input")
    press(browser, "unicorn")
    assert counted(browser) == "1 of 300"


@pytest.mark.parametrize(("width", "way"), [(390, "back"), (390, "button"), (1280, "back")])
def test_back_returns_to_the_place_in_the_list(opened: Callable[..., Browser], width: int, way: str) -> None:
    browser = opened(width=width)
    top = "return document.querySelector('.list').scrollTop"
    browser.execute_script("document.querySelector('.list').scrollTop = 8000")
    WebDriverWait(browser, 30).until(lambda b: "IMG_00104.jpg" in listed(b))
    before = browser.execute_script(top)
    row = next(a for a in browser.find_elements(By.CSS_SELECTOR, ".list a") if "IMG_00104.jpg" in a.text)
    row.click()
    WebDriverWait(browser, 30).until(lambda b: current(b) == "IMG_00104.jpg")
    nav, pane = (browser.find_element(By.CSS_SELECTOR, s) for s in ("nav input", ".pane .next"))
    assert (nav.is_displayed(), pane.is_displayed()) == (width > 768, True)
    pane.click()
    WebDriverWait(browser, 30).until(lambda b: current(b) == "IMG_00105.jpg")
    if way == "back":
        browser.back()
    else:
        browser.find_element(By.CSS_SELECTOR, ".back").click()
    WebDriverWait(browser, 30).until(lambda b: "photo=" not in b.current_url)
    WebDriverWait(browser, 30).until(lambda b: nav.is_displayed())
    assert browser.execute_script(top) == before
    focused = browser.switch_to.active_element
    assert "IMG_00105.jpg" in focused.text


def test_address_of_a_photo_shows_it(opened: Callable[..., Browser]) -> None:
    browser = opened("#photo=200")
    WebDriverWait(browser, 30).until(lambda b: current(b) == "IMG_00200.jpg")
    assert browser.find_element(By.CSS_SELECTOR, ".position").text == "200 of 300"


def test_slash_leads_from_a_photo_that_covers_the_list_to_the_search(opened: Callable[..., Browser]) -> None:
    browser = opened(width=390)
    browser.find_element(By.CSS_SELECTOR, ".list a").click()
    shows(browser, 1)
    press(browser, "/")
    press(browser, *"unicorn")
    WebDriverWait(browser, 30).until(lambda b: "photo=" not in b.current_url)
    assert (counted(browser), listed(browser)) == ("1 of 300", ["IMG_00007.jpg"])


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_index_fits_every_screen(opened: Callable[..., Browser], width: int) -> None:
    browser = opened("#photo=2", width)
    WebDriverWait(browser, 30).until(lambda b: current(b) == "IMG_00002.jpg")
    inside = "return [document.documentElement.scrollWidth, innerWidth]"
    whole, seen = browser.execute_script(inside)
    assert whole <= seen == width
    for control in browser.find_elements(By.CSS_SELECTOR, ".steps button, .position"):
        if control.is_displayed():
            assert control.rect["x"] >= 0 and control.rect["x"] + control.rect["width"] <= width


# --- without scripts, and on paper --------------------------------------------------------------------


def test_links_work_without_scripts(browser: Browser, index: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(index.as_uri())
        links = browser.find_elements(By.CSS_SELECTOR, "noscript a")
        assert len(links) == 300 and links[6].text == "a unicorn"
        assert links[0].is_displayed()
        links[6].click()
        browser.switch_to.frame("photo")
        WebDriverWait(browser, 30).until(
            lambda b: "IMG_00007.jpg" in b.find_element(By.TAG_NAME, "body").text
        )
    finally:
        browser.switch_to.default_content()
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def pages_on_paper(browser: Browser) -> int:
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    return len(re.findall(rb"/Type ?/Page\b", pdf))


def on_paper(browser: Browser, script: str) -> Any:
    """A script's result in the dark, as it is printed."""
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
    try:
        return browser.execute_script(script)
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


LOOKS = """
  const style = getComputedStyle(document.body);
  const controls = [...document.querySelectorAll("button, input, iframe")];
  return [style.backgroundColor, style.color, controls.filter((e) => e.checkVisibility()).length];
"""
BLACK_ON_WHITE = ["rgb(255, 255, 255)", "rgb(0, 0, 0)", 0]


def test_index_is_printed_whole_and_black_on_white(opened: Callable[..., Browser]) -> None:
    browser = opened()
    assert on_paper(browser, LOOKS) == BLACK_ON_WHITE
    assert pages_on_paper(browser) >= 5  # 300 photos, not only those near the window
    few = opened("#search=unicorn")
    assert pages_on_paper(few) == 1
    assert len(listed(opened())) < 60  # and afterwards as before


def test_photo_is_printed_with_its_words_and_maps_on_one_page(browser: Browser, tmp_path: Path) -> None:
    caption = caption_of(SENTENCE)
    photo_page(caption, "a.jpg", tmp_path / "a.html")
    browser.get((tmp_path / "a.html").as_uri())
    chromium.wait(browser, "thead canvas")
    assert on_paper(browser, LOOKS) == BLACK_ON_WHITE
    sheet_of_paper = {"width": 716, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sheet_of_paper)
    figure, sheet, width = on_paper(
        browser,
        "const [f, s] = ['figure', '.sheet'].map((e) => document.querySelector(e).getBoundingClientRect());"
        "return [f.bottom - f.top, s.bottom - f.top, document.documentElement.scrollWidth]",
    )
    assert figure < sheet < 1000 and width <= 716  # of a sheet of A4 or letter, without its margins
    assert pages_on_paper(browser) <= 2
