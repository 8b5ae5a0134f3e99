"""The page of ``captioner serve`` in a real browser: photos in, captions and their attention out."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import chromium, served, tiny
from support.chromium import ActionChains, By, Keys, WebDriverWait, drawn, pixels, select, words

import captioner
from captioner.config.search import SearchConfig
from captioner.predictor import Predictor

pytestmark = chromium.needed
MARKUP = "<img src=x onerror=document.title='hacked'><b>photo<b>.png"
BRING = """
const [kind, name, data] = arguments;
const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
const carried = new DataTransfer();
if (name) carried.items.add(new File([bytes], name, { type: "image/png" }));
const event = { bubbles: true, cancelable: true, dataTransfer: carried, clipboardData: carried };
for (const type of kind === "drop" ? ["dragenter", "dragover", "drop"] : ["paste"])
  document.body.dispatchEvent(new (type === "paste" ? ClipboardEvent : DragEvent)(type, event));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.chromium("--host-resolver-rules=MAP rebound.example 127.0.0.1") as driver:
        yield driver


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return captioner.load(tiny.model_file(), "cpu")


@pytest.fixture(scope="module")
def port(predictor: Predictor) -> Iterator[int]:
    with served.served(predictor) as port:
        yield port


@pytest.fixture
def page(browser: Any, port: int) -> Any:
    browser.get_log("performance"), browser.get_log("browser")  # those of the page before
    browser.get(f"http://127.0.0.1:{port}/docs")
    browser.execute_script("sessionStorage.clear()")
    browser.get(f"http://127.0.0.1:{port}/")
    return browser


@pytest.fixture
def upload(page: Any, tmp_path: Path) -> Callable[..., None]:
    """Chooses a file as a person does, and waits for what comes of it."""

    def choose(data: bytes, name: str = "photo.png") -> None:
        upload_all(page, tmp_path, {name: data})

    return choose


def upload_all(page: Any, folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    page.find_element(By.ID, "file").send_keys("\n".join(str(folder / name) for name in files))
    finished(page)


def finished(page: Any) -> None:
    script = (
        "return document.body.classList.contains('busy') || !document.getElementById('status').textContent"
    )
    WebDriverWait(page, 60).until(lambda b: not b.execute_script(script))


def text(page: Any, selector: str) -> str:
    return page.find_element(By.CSS_SELECTOR, selector).text  # type: ignore[no-any-return]


def strip(page: Any) -> list[tuple[str, str, str]]:
    """What the strip says: each photo's state, text and name."""
    script = """return [...document.querySelectorAll("#strip li")].map((item) =>
        [item.className, item.querySelector(".text").textContent, item.querySelector(".name").textContent])"""
    return [tuple(row) for row in page.execute_script(script)]


def shown(page: Any) -> str:
    return text(page, "#strip [aria-current] .name") if len(strip(page)) > 1 else text(page, "#status")


def option(page: Any, name: str, value: object) -> None:
    page.execute_script("document.getElementById('search').open = true")
    field = page.find_element(By.NAME, name)
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(str(value), Keys.TAB)


def test_chosen_photo_has_its_caption(page: Any, upload: Callable[..., None], predictor: Predictor) -> None:
    for i in (0, 5):
        photo = served.photos()[i]
        expected = predictor.caption(photo)
        upload(photo, f"{i}.png")
        assert text(page, ".caption").split() == list(expected.words)
        assert (shown(page), text(page, "#problem")) == (f"{i}.png", "")
        assert page.title == f"{expected.text} - captioner"
        alternatives = expected.alternatives
        assert alternatives is not None
        select(page, 0)
        considered = [e.text for e in page.find_elements(By.CSS_SELECTOR, ".considered .text")]
        assert considered == [word for word, _ in alternatives[0]]


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_photo_can_be_dropped_and_pasted(page: Any, predictor: Predictor, kind: str) -> None:
    photo = served.photos()[1]
    page.execute_script(BRING, kind, "photo.png", base64.b64encode(photo).decode())
    finished(page)
    assert text(page, ".caption").split() == list(predictor.caption(photo).words)
    assert "over" not in page.find_element(By.TAG_NAME, "body").get_attribute("class").split()


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_what_is_no_file_is_told(page: Any, kind: str) -> None:
    page.execute_script(BRING, kind, "", "")
    assert text(page, "#problem").startswith(("That was no file", "There is no picture"))


def test_pointing_and_keys_change_the_overlay(page: Any, upload: Callable[..., None]) -> None:
    upload(served.photos()[0])
    drawn(page, "")
    pictures = []
    for i in (0, 2):
        ActionChains(page).move_to_element(words(page)[i]).perform()
        drawn(page, str(i))
        pictures.append(pixels(page))
    assert np.abs(pictures[0] - pictures[1]).max() > 0
    ActionChains(page).move_to_element(page.find_element(By.CSS_SELECTOR, "h1")).perform()
    drawn(page, "")
    page.find_element(By.ID, "forget").send_keys(Keys.TAB)  # then the first word
    drawn(page, "0")
    ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
    drawn(page, "1")


def test_keyboard_reaches_everything(page: Any) -> None:
    reached = []
    for _ in range(4 + len(fields(SearchConfig))):
        ActionChains(page).send_keys(Keys.TAB).perform()
        element = page.switch_to.active_element
        assert element.accessible_name
        reached.append(element.get_attribute("name") or element.text)
        if element.tag_name == "summary":
            element.send_keys(Keys.ENTER)
    options = [field.name for field in fields(SearchConfig)]
    assert reached == ["captioner", "API", "photo", "How to search", *options]


def test_option_makes_another_caption(page: Any, upload: Callable[..., None], predictor: Predictor) -> None:
    photo = served.photos()[0]
    upload(photo)
    option(page, "max_length", 2)
    WebDriverWait(page, 60).until(lambda _: len(words(page)) == 2)
    finished(page)
    assert text(page, ".caption").split() == list(predictor.caption(photo, max_length=2).words)
    option(page, "max_length", 0)  # is not sent
    assert page.find_element(By.CSS_SELECTOR, "input:invalid").get_attribute("name") == "max_length"
    assert len(words(page)) == 2


def test_broken_photo_is_told_and_the_next_one_shown(page: Any, upload: Callable[..., None]) -> None:
    photo = served.photos()[0]
    upload(photo[: len(photo) // 2], "broken.png")
    assert text(page, "#problem").startswith("broken.png: image: cannot be decoded")
    assert shown(page) == "broken.png" and words(page) == []
    upload(photo)
    assert text(page, "#problem") == "" and words(page)


def test_text_and_large_files_are_told(page: Any, upload: Callable[..., None]) -> None:
    upload(b"no image", "notes.txt")
    assert text(page, "#problem").startswith("notes.txt: image: is not an image of a known format")
    upload(bytes(20 * 10**6 + 1), "large.png")
    assert text(page, "#problem") == "large.png: The file is larger than 20 MB"


def test_markup_in_a_name_is_text(page: Any, upload: Callable[..., None]) -> None:
    upload(served.photos()[0], MARKUP)
    assert shown(page) == MARKUP
    upload(b"no image", MARKUP)
    assert shown(page) == MARKUP
    assert "hacked" not in page.title and page.find_elements(By.CSS_SELECTOR, "main b, [onerror]") == []


def test_nothing_is_asked_of_others_and_nothing_goes_wrong(
    page: Any, port: int, upload: Callable[..., None]
) -> None:
    upload(served.photos()[0])
    select(page, 1)
    page.get(f"http://127.0.0.1:{port}/docs")
    messages = [json.loads(line["message"])["message"] for line in page.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    own = f"http://127.0.0.1:{port}/"
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} == {
        own,
        f"{own}caption",
        f"{own}docs",
    }
    assert page.get_log("browser") == []


def test_page_of_another_site_gets_no_caption(browser: Any, port: int, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{port}/caption"
    attack = f"<form method=post enctype=multipart/form-data action={address}><input type=file name=photo>"
    (tmp_path / "index.html").write_text(attack)
    (tmp_path / "photo.png").write_bytes(served.photos()[0])
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)
    ) as other:
        threading.Thread(target=other.serve_forever).start()
        site = f"http://127.0.0.1:{other.server_address[1]}"
        browser.get(site)
        browser.find_element(By.TAG_NAME, "input").send_keys(str(tmp_path / "photo.png"))
        script = (
            "const [a, done] = arguments; fetch(a, {method: 'POST', body: new FormData(document.forms[0])})"
        )
        answer = browser.execute_async_script(
            f"{script}.then(() => done('read'), () => done('kept'))", address
        )
        browser.find_element(By.TAG_NAME, "form").submit()
        WebDriverWait(browser, 60).until(lambda b: b.current_url == address)
        other.shutdown()
    assert answer == "kept"
    assert json.loads(text(browser, "body"))["error"] == f"Origin: pages of {site} may not use this server"


def test_name_that_was_made_to_point_here_is_not_served(browser: Any, port: int) -> None:
    browser.get(f"http://rebound.example:{port}/")
    assert f"Host: 'rebound.example:{port}' is not served here" in text(browser, "body")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("path", ["", "docs"])
def test_page_fits_every_screen(
    page: Any, port: int, upload: Callable[..., None], width: int, path: str
) -> None:
    device = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": width < 768}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    inside = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    try:
        page.get(f"http://127.0.0.1:{port}/{path}")
        whole, seen = page.execute_script(inside)
        assert whole <= seen <= width
        if not path:
            upload(served.photos()[0], "a-long-name-" * 20 + ".png")
            whole, seen = page.execute_script(inside)
            assert whole <= seen <= width
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# --- several photos -------------------------------------------------------------------------------


@pytest.fixture
def five(page: Any, tmp_path: Path) -> list[str]:
    """The names of five photos that were dropped at once, the third of them broken."""
    files = {f"{i}.png": photo for i, photo in enumerate(served.photos()[:5])}
    files["2.png"] = files["2.png"][:200]
    upload_all(page, tmp_path, files)
    return list(files)


def test_broken_photo_among_five_leaves_the_others(page: Any, five: list[str], predictor: Predictor) -> None:
    said = strip(page)
    assert [name for *_, name in said] == five
    for i, (state, line, _) in enumerate(said):
        if i == 2:
            assert state == "failed" and line.startswith("image: cannot be decoded")
        else:
            assert (state, line) == ("captioned", predictor.caption(served.photos()[i]).text)
    assert text(page, "#status") == "4 captioned, 1 could not be captioned"
    assert shown(page) == "0.png" and text(page, "#problem") == ""
    page.find_elements(By.CSS_SELECTOR, "#strip a")[2].click()
    WebDriverWait(page, 60).until(lambda _: text(page, "#problem").startswith("2.png: image: cannot"))
    page.find_elements(By.CSS_SELECTOR, "#strip a")[3].click()
    WebDriverWait(page, 60).until(lambda _: words(page))
    assert text(page, "#problem") == ""


def until_shown(page: Any, name: str) -> None:
    current = "return (document.querySelector('#strip [aria-current] .name') || {}).textContent || ''"
    WebDriverWait(page, 60).until(lambda b: b.execute_script(current) == name)


def test_back_forward_and_arrows_step_through_the_photos(page: Any, five: list[str]) -> None:
    body = page.find_element(By.TAG_NAME, "body")
    for name in ("1.png", "2.png", "3.png"):
        body.send_keys(Keys.ARROW_RIGHT)
        until_shown(page, name)
    body.send_keys(Keys.ARROW_LEFT)
    until_shown(page, "2.png")
    page.back()
    until_shown(page, "3.png")
    page.back()
    until_shown(page, "2.png")
    page.forward()
    until_shown(page, "3.png")
    words(page)[0].send_keys(Keys.ARROW_RIGHT)  # which is the words', not the photos'
    until_shown(page, "3.png")


def test_captions_survive_a_reload_until_they_are_forgotten(page: Any, five: list[str]) -> None:
    before = [row for row in strip(page) if row[0] == "captioned"]
    page.refresh()
    assert strip(page) == before and words(page)
    option(page, "max_length", 2)
    assert "choose it again" in text(page, "#problem")
    page.find_element(By.ID, "forget").click()
    assert strip(page) == [] and words(page) == []
    page.refresh()
    assert strip(page) == []


def test_history_gives_way_where_there_is_no_room(page: Any, five: list[str]) -> None:
    page.execute_script("sessionStorage.setItem('filler', 'x'.repeat(5 * 2 ** 20 - 210_000))")
    page.execute_script("tabHistory(['tiny']).keep(9, {caption: 'y'.repeat(200_000), name: 'last.png'})")
    kept = page.execute_script("return tabHistory(['tiny']).all().map(([number]) => number)")
    assert kept[-1] == 9 and len(kept) < 5


def test_photo_is_shown_before_its_caption_comes(page: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(served.photos()[0])
    page.execute_script("window.fetch = () => new Promise(() => {})")
    page.find_element(By.ID, "file").send_keys(str(tmp_path / "photo.png"))
    wait = WebDriverWait(page, 60)
    wait.until(lambda b: b.execute_script("return document.querySelector('.pending img').naturalWidth > 0"))
    assert text(page, "#status") == "Captioning photo.png\u2026"


def test_caption_and_its_figure_can_be_taken_along(
    page: Any, upload: Callable[..., None], tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    page.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(saved)})
    upload(served.photos()[0], 'a "photo".png')
    caption = text(page, ".caption")
    for label, ending in (("Figure", "png"), ("Text", "txt"), ("JSON", "json")):
        page.find_element(By.XPATH, f"//button[.='{label}']").click()
        file = saved / f"a _photo_.{ending}"
        WebDriverWait(page, 60).until(lambda _, file=file: file.is_file())
    assert (saved / "a _photo_.txt").read_text() == caption + "\n"
    assert json.loads((saved / "a _photo_.json").read_text())["caption"] == caption
    with Image.open(saved / "a _photo_.png") as figure:
        assert figure.width > 640
    snippet = page.execute_script(
        "return altSnippet({name: 'a \"b\".png', text: 'one dog', words: ['one', 'dog']})"
    )
    assert snippet == '<img src="a%20%22b%22.png" alt="One dog.">'
    page.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
    page.find_element(By.XPATH, "//button[.='Copy caption']").click()
    read = "const done = arguments[0]; navigator.clipboard.readText().then(done)"
    WebDriverWait(page, 60).until(lambda b: b.execute_async_script(read) == caption)


def test_example_is_captioned(browser: Any, predictor: Predictor) -> None:
    photo = served.photos()[3]
    with served.served(predictor, examples={"scene.png": photo}) as port:
        browser.get(f"http://127.0.0.1:{port}/")
        browser.find_element(By.CSS_SELECTOR, "#examples button").click()
        finished(browser)
        assert text(browser, ".caption") == predictor.caption(photo).text


def test_form_works_without_scripts(browser: Any, port: int, predictor: Predictor, tmp_path: Path) -> None:
    photo = served.photos()[0]
    (tmp_path / "photo.png").write_bytes(photo)
    (tmp_path / "broken.png").write_bytes(photo[:200])
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        for name in ("photo.png", "broken.png"):
            browser.get(f"http://127.0.0.1:{port}/")
            browser.find_element(By.ID, "file").send_keys(str(tmp_path / name))
            browser.find_element(By.CSS_SELECTOR, "summary").click()
            field = browser.find_element(By.NAME, "max_length")
            field.clear()
            field.send_keys("3")
            browser.find_element(By.CSS_SELECTOR, "noscript button").click()
            WebDriverWait(browser, 60).until(lambda b: b.current_url.endswith("/caption"))
            if name == "photo.png":
                assert text(browser, "h2") == predictor.caption(photo, max_length=3).text
                figure = browser.find_element(By.CSS_SELECTOR, ".plain img")
                assert figure.size["width"] > 300
            else:
                assert "cannot be decoded" in text(browser, "main")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_phone_offers_its_camera(page: Any, port: int) -> None:
    camera = page.find_element(By.CSS_SELECTOR, ".camera")
    assert not camera.is_displayed()
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    device = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    try:
        page.refresh()
        camera = page.find_element(By.CSS_SELECTOR, ".camera")
        assert camera.is_displayed()
        assert page.find_element(By.ID, "camera").get_attribute("capture") == "environment"
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
