"""The exported page in a browser, which ``bash scripts/test.sh --browser`` installs; npm must be there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import chromium, tiny
from support.chromium import By, WebDriverWait, drawn, select, words
from support.page import ITEM, served_page

from captioner.checkpoint.file import load_checkpoint
from captioner.errors import CaptionerError
from captioner.export.onnx_programs import NEEDED
from captioner.predictor import load
from captioner.visualize.page import entry

pytestmark = chromium.needed


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the tiny model's page."""
    for name in NEEDED:
        pytest.importorskip(name, reason=f"{name} is missing: pip install 'captioner[export]'")
    if shutil.which("npm") is None:
        pytest.skip("npm, which downloads onnxruntime-web, is not installed")
    from captioner.export.web import export_web

    try:
        checkpoint = load_checkpoint(tiny.model_file())
        folder = export_web(checkpoint, tmp_path_factory.mktemp("web") / "page", "float32").folder
    except CaptionerError as error:
        if "cannot download" not in str(error):
            raise
        pytest.skip(str(error))
    with served_page(folder) as address:
        yield address


def test_page_says_and_shows_what_captioner_does(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = []
    for i, record in enumerate(tiny.records()[:4]):
        photos.append(tmp_path / f"{i}.png")
        image = record.source()  # type: ignore[operator]
        image.resize((60 + 90 * i, 70)).save(
            photos[-1]
        )  # the larger ones are reduced by a whole number first
    model = load(tiny.model_file(), device="cpu", precision="fp32")
    expected = [model.caption(photo) for photo in photos]
    with chromium.chromium() as browser:
        browser.get(page)
        for i, (photo, caption) in enumerate(zip(photos, expected)):
            browser.find_element(By.ID, "file").send_keys(str(photo))
            said = WebDriverWait(browser, 120).until(lambda b, i=i: b.execute_script(ITEM, i))
            assert said == caption.text
        select(browser, 0)
        drawn(browser, "0")
        assert [word.text for word in words(browser)] == list(expected[-1].words)
        shown = browser.execute_script(
            "const of = (key) => Number(key.match(/[0-9]+$/)[0]);"  # keys have no order
            "const keys = Object.keys(sessionStorage).sort((a, b) => of(a) - of(b));"
            "return JSON.parse(sessionStorage.getItem(keys.at(-1)))"
        )
        ours = entry(expected[-1])
        for key in ("log_prob", "probabilities", "betas", "top", "scores"):
            assert shown[key] == pytest.approx(ours[key], abs=2e-3), key
        for ours_of_word, theirs in zip(ours["attention"], shown["attention"], strict=True):
            assert theirs == pytest.approx(ours_of_word, abs=2e-3)
        assert [text for text, _ in shown["beam"]] == [text for text, _ in ours["beam"]]
        sent = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = [e["params"]["request"] for e in sent if e["method"] == "Network.requestWillBeSent"]
    loaded = [request["url"] for request in asked if not request["url"].startswith(("data:", "blob:"))]
    assert loaded and all(url.startswith(page) for url in loaded)
    assert {request["method"] for request in asked} == {"GET"}  # no photo is sent anywhere
