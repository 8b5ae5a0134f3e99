"""``captioner serve``: what it answers, what it refuses, and that no request disturbs another."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image
from support import tiny
from support.captions import caption_of
from support.served import FORM, ask, form, photos, post, served

import captioner
from captioner.config.search import SearchConfig
from captioner.data.scenes.drawing import COLOURS, OUTLINES
from captioner.predictor import Predictor
from captioner.visualize.page import entry
from captioner.web.examples import examples
from captioner.web.upload import Limits
from captioner.web.worker import Worker

MARKUP = "<img src=x onerror=alert(1)></script><b>photo</b>.png"
LIMITS = Limits(upload=20_000, pixels=5_000, seconds=60, queue=2)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return captioner.load(tiny.model_file(), "cpu")


@pytest.fixture(scope="module")
def port(predictor: Predictor) -> Iterator[int]:
    with served(predictor) as port:
        yield port


class Slow:
    """A predictor that says what it was given once it is let go on; a photo of b"bug" breaks it."""

    models = ()

    def __init__(self) -> None:
        self.go, self.began, self.batches = threading.Event(), threading.Event(), []

    def caption_many(self, images: Any, *_: Any) -> Iterator[Any]:
        self.batches.append(list(images))
        self.began.set()
        assert self.go.wait(60)
        if b"bug" in images:
            raise ZeroDivisionError
        return (caption_of(f"photo {image.decode('latin-1')}") for image in images)


@pytest.fixture
def limited() -> Iterator[tuple[int, Slow]]:
    """A server with narrow limits, and its predictor, which waits."""
    slow = Slow()
    with served(slow, LIMITS, ["cat.example"]) as port:
        try:
            yield port, slow
        finally:
            slow.go.set()


def picture(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(stream, "PNG")
    return stream.getvalue()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def busy(port: int) -> int:
    return int(ask(port, "GET", "/health").json["photos"])


# --- captions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beam_size": 1},
        {"beam_size": 5, "length_normalization": 0.0},
        {"max_length": 3, "block_ngrams": 2},
    ],
    ids=str,
)
def test_caption_is_the_predictors_own(port: int, predictor: Predictor, options: dict[str, Any]) -> None:
    texts = set()
    for photo in photos()[:3]:
        answer = post(port, photo, **options)
        expected = entry(predictor.caption(photo, **options), "photo.png")
        got = answer.json
        assert answer.status == 200
        assert (got.pop("name"), got.pop("caption")) == (expected.pop("name"), expected.pop("text"))
        expected = {key: value for key, value in expected.items() if key not in ("photo", "thumbnail")}
        same(got, expected)
        texts.add(tuple(got["words"]))
    assert len(texts) > 1 or "max_length" in options


def same(got: Any, expected: Any) -> None:
    """Equal, numbers to the last of their four digits but one."""
    if isinstance(expected, dict):
        assert list(got) == list(expected)
        got, expected = list(got.values()), list(expected.values())
    if isinstance(expected, list):
        assert len(got) == len(expected)
        for a, b in zip(got, expected):
            same(a, b)
    else:
        assert got == (pytest.approx(expected, abs=2e-4) if isinstance(expected, float) else expected)


def test_options_of_the_form_count_before_those_of_the_address(port: int, predictor: Predictor) -> None:
    photo = photos()[0]
    for query, fields, length in [("?max_length=2", {}, 2), ("?max_length=2", {"max_length": 1}, 1)]:
        assert len(post(port, photo, query=query, **fields).json["words"]) == length


def test_pictures_come_back_where_they_are_asked_for(port: int, predictor: Predictor) -> None:
    photo = photos()[0]
    expected = entry(predictor.caption(photo))
    for said in ("true", "1"):
        got = post(port, photo, pictures=said).json
        assert (got["photo"], got["thumbnail"]) == (expected["photo"], expected["thumbnail"])
    assert "photo" not in post(port, photo, pictures="false").json


def test_photos_that_come_at_once_have_the_captions_that_each_has_alone(port: int) -> None:
    alone = [post(port, photo).json for photo in photos()]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda photo: post(port, photo).json, photos()))
    for a, b in zip(together, alone):
        same(a, b)
    assert len({a["caption"] for a in alone}) > 1


def test_what_waits_goes_together_if_its_options_are_the_same() -> None:
    slow = Slow()
    worker = Worker(slow, batch_size=3)  # type: ignore[arg-type]
    one, two = SearchConfig(), SearchConfig(beam_size=2)
    first = worker.submit(b"0", one)
    slow.began.wait(60)
    futures = [worker.submit(str(i).encode(), two if i in (2, 4) else one) for i in range(1, 8)]
    slow.go.set()
    assert [f.result(60).text for f in [first, *futures]] == [f"photo {i}" for i in range(8)]
    assert slow.batches == [[b"0"], [b"1", b"3", b"5"], [b"2", b"4"], [b"6", b"7"]]
    worker.close()


@pytest.mark.parametrize("drawn", ["words", "locations"])
def test_what_is_drawn_goes_alone(make_decoder: Any, drawn: str) -> None:
    slow = Slow()
    slow.go.set()
    decoder = make_decoder(attention="hard-sample" if drawn == "locations" else "soft")
    slow.models = [type("Model", (), {"decoder": decoder})]
    worker = Worker(slow)  # type: ignore[arg-type]
    options = SearchConfig(strategy="sample" if drawn == "words" else "beam")
    with worker._changed:  # none is taken before all wait
        futures = [worker.submit(str(i).encode(), options) for i in range(3)]
    assert [f.result(60).text for f in futures] == ["photo 0", "photo 1", "photo 2"]
    assert slow.batches == [[b"0"], [b"1"], [b"2"]]
    worker.close()


def test_closing_captions_what_waits() -> None:
    slow = Slow()
    worker = Worker(slow)  # type: ignore[arg-type]
    futures = [worker.submit(b"0", SearchConfig()), worker.submit(b"1", SearchConfig(beam_size=2))]
    threading.Timer(0.1, slow.go.set).start()
    worker.close()
    assert [f.result(0).text for f in futures] == ["photo 0", "photo 1"]


# --- what is refused ------------------------------------------------------------------------------


def bomb() -> bytes:
    """A PNG file that claims to be of 65,536 x 65,536 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 2**16, 2**16, 8, 2, 0, 0, 0)
    data = picture(8, 8)
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


SMALL = picture(8, 8)
REFUSALS = {  # what is sent, and the status and the line that answer it
    "too many bytes": (form(("photo", "a", bytes(20_001))), 413, "upload: is larger than 0.02 MB"),
    "far too many": (form(("photo", "a", bytes(10**6))), 413, "upload: is larger than 0.02 MB"),
    "too many pixels": (form(("photo", "a", picture(100, 51))), 413, "image: has 100 x 51 pixels, .*"),
    "a bomb": (form(("photo", "a", bomb())), 413, "image: has more than 178956970 pixels"),
    "text": (form(("photo", "a.jpg", b"hello")), 415, r"image: is not an image of a .* \(JPEG, .*"),
    "an empty file": (form(("photo", "a", b"")), 422, "image: is empty"),
    "a damaged header": (form(("photo", "a", SMALL[:20])), "415 422", "image: .*"),
    "no photo": (form(("beam_size", None, b"3")), 422, r"form: there is no .* \(files: none\)"),
    "another name": (form(("image", "a", SMALL)), 422, r"form: there is .* \(files: 'image'\)"),
    "no file": (form(("photo", None, SMALL[:100])), 422, "form: there is no file 'photo' .*"),
    "two photos": (form(("photo", "a", SMALL), ("photo", "b", SMALL)), 400, "form: Too many files.*"),
    "many fields": (form(*[("beam_size", None, b"3")] * 20), 400, "form: Too many fields.*"),
    "a long field": (form(("beam_size", None, b"3" * 5000)), 400, "form: Part exceeded .*"),
    "an empty form": (b"", 422, "form: .*"),
    "no form at all": (b"hello", 400, "form: .*"),
    "a form cut short": (form(("photo", "a", SMALL))[:-40], 422, "form: .*"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_upload_has_one_error(limited: tuple[int, Slow], case: str) -> None:
    body, status, line = REFUSALS[case]
    answer = ask(limited[0], "POST", "/caption", body, FORM)
    assert str(answer.status) in str(status)
    assert list(answer.json) == ["error"] and re.fullmatch(line, answer.json["error"])
    assert not limited[1].batches and busy(limited[0]) == 0


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.9])
def test_photo_that_is_cut_short_is_refused(port: int, share: float) -> None:
    photo = photos()[0]
    answer = post(port, photo[: int(share * len(photo))])
    assert answer.status in (415, 422) and list(answer.json) == ["error"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"beam_size": "x"}, "beam_size: 'x' is not a whole number"),
        ({"beam_size": "1.5"}, "beam_size: '1.5' is not a whole number"),
        ({"beam_size": ""}, "beam_size: '' is not a whole number"),
        ({"beam_size": "9" * 400}, "beam_size: .* is out of range, it must be between 1 and 20"),
        ({"beam_size": 0}, "beam_size: 0 is out of range, it must be between 1 and 20"),
        ({"max_length": 101}, "max_length: 101 is out of range, it must be between 1 and 100"),
        ({"length_normalization": "nan"}, "length_normalization: nan is out of range, .*"),
        ({"length_normalization": "inf"}, "length_normalization: inf is out of range, .*"),
        ({"block_ngrams": -1}, "block_ngrams: -1 is out of range, .*"),
        ({"pictures": "yes"}, "pictures: 'yes' is not one of true, 1, false, 0"),
        ({"strategy": "smaple"}, r"strategy: 'smaple' is not one of .* \(did you mean sample\?\)"),
        ({"allow_unknown": "perhaps"}, "allow_unknown: 'perhaps' is not true or false"),
        ({"beam": 3}, r"options: 'beam' is not one of .* \(did you mean beam_size\?\)"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("place", ["form", "address"])
def test_wrong_option_is_refused(port: int, options: dict[str, Any], line: str, place: str) -> None:
    ((name, value),) = options.items()
    query, fields = ("", options) if place == "form" else (f"?{name}={value}", {})
    answer = post(port, SMALL, query=query, **fields)
    assert answer.status == 422 and re.fullmatch(line, answer.json["error"])


@pytest.mark.parametrize("kind", [None, "application/json", "image/png", "multipart/mixed"])
def test_what_is_no_form_is_refused(port: int, kind: str | None) -> None:
    answer = ask(port, "POST", "/caption", SMALL, {"Content-Type": kind} if kind else {})
    assert answer.status == 415 and answer.json["error"].startswith(
        "Content-Type: must be multipart/form-data"
    )


def test_upload_without_length_is_cut_off_at_the_limit(limited: tuple[int, Slow]) -> None:
    body = form(("photo", "a", bytes(10**6)))
    chunks = (body[i : i + 1000] for i in range(0, len(body), 1000))
    answer = ask(limited[0], "POST", "/caption", chunks, FORM)
    assert answer.status == 413 and answer.json == {"error": "upload: is larger than 0.02 MB"}


def test_upload_that_takes_too_long_is_ended() -> None:
    with (
        served(Slow(), Limits(seconds=0.2)) as port,
        socket.create_connection(("127.0.0.1", port), 60) as connection,
    ):
        head = f"POST /caption HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM['Content-Type']}\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\n--".encode())
        answer = connection.makefile("rb").read()  # to the end: the connection is closed
        assert busy(port) == 0
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b'{"error":"upload: took longer than 0.2 seconds"}')


def test_more_photos_than_the_queue_holds_are_told_to_come_again(limited: tuple[int, Slow]) -> None:
    port, slow = limited
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(post, port, SMALL) for _ in range(LIMITS.queue)]
        until(lambda: busy(port) == LIMITS.queue)
        refused = post(port, SMALL)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json == {"error": "busy: 2 photos are on their way already, try again later"}
        slow.go.set()
        assert [answer.result().status for answer in waiting] == [200, 200]
    assert post(port, SMALL).status == 200 and busy(port) == 0


def test_client_that_hangs_up_leaves_its_place(limited: tuple[int, Slow]) -> None:
    port, slow = limited
    body = form(("photo", "a", SMALL))
    head = f"POST /caption HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM['Content-Type']}\r\n"
    sent = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", port), 60) as first:
        first.sendall(sent)
        assert slow.began.wait(60)
        with socket.create_connection(("127.0.0.1", port), 60) as second:
            second.sendall(sent)
            until(lambda: busy(port) == 2)
        until(lambda: busy(port) == 1)
        slow.go.set()
        assert first.recv(12) == b"HTTP/1.1 200"
    with socket.create_connection(("127.0.0.1", port), 60) as third:
        third.sendall(sent[:-50])  # within its upload
        until(lambda: busy(port) == 1)
    until(lambda: busy(port) == 0)
    assert len(slow.batches) == 1


# --- no request disturbs another ------------------------------------------------------------------


def test_broken_photos_leave_their_neighbours_alone(port: int) -> None:
    uploads = [photo[: len(photo) // 2] if i % 2 else photo for i, photo in enumerate(photos())]
    alone = [post(port, photo).json for photo in photos()]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda photo: post(port, photo), uploads))
    for i, answer in enumerate(answers):
        assert answer.status == (422 if i % 2 else 200)
        if not i % 2:
            same(answer.json, alone[i])


def test_photo_that_meets_a_bug_fails_alone() -> None:
    slow = Slow()
    worker = Worker(slow)  # type: ignore[arg-type]
    first = worker.submit(b"0", SearchConfig())
    slow.began.wait(60)
    futures = [worker.submit(photo, SearchConfig()) for photo in (b"1", b"bug", b"2")]
    slow.go.set()
    assert [f.result(60).text for f in (first, futures[0], futures[2])] == ["photo 0", "photo 1", "photo 2"]
    assert isinstance(futures[1].exception(60), ZeroDivisionError)
    worker.close()


def test_bug_is_one_error_and_the_server_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    slow.go.set()
    monkeypatch.setattr("captioner.web.app.check_photo", lambda *_: None)
    with served(slow) as port:
        answer = post(port, b"bug")
        assert answer.status == 500
        assert answer.json == {"error": "server: ZeroDivisionError, see the server's log"}
        assert post(port, b"fine").json["caption"] == "photo fine"


# --- who may ask ----------------------------------------------------------------------------------

ALLOWED = [
    {},
    {"Host": "localhost"},
    {"Host": "LOCALHOST:8000"},
    {"Host": "192.168.1.7:8000"},
    {"Host": "[::1]:8000"},
    {"Host": "cat.example"},
    {"Host": "cat.example:8000", "Origin": "https://cat.example:8000", "Sec-Fetch-Site": "same-origin"},
    {"Host": "localhost:8000", "Origin": "http://localhost:8000"},
    {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
]
FOREIGN = [
    {"Host": "evil.example"},  # DNS rebinding: its own name, our address
    {"Host": "evil.example:8000", "Origin": "http://evil.example:8000", "Sec-Fetch-Site": "same-origin"},
    {"Host": "localhost.evil.example"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "notcat.example"},
    {"Host": ""},
    {"Host": "[::1"},
    {"Host": "localhost", "Origin": "http://evil.example"},
    {"Host": "localhost", "Origin": "null"},
    {"Host": "localhost:8000", "Origin": "http://localhost:3000"},  # another server of the same machine
    {"Host": "localhost", "Origin": "http://localhost.evil.example"},
    {"Host": "localhost", "Origin": "http://evil.example/?://localhost"},
    {"Host": "localhost", "Sec-Fetch-Site": "cross-site"},
    {"Host": "localhost", "Sec-Fetch-Site": "same-site"},
    {"Host": "localhost", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
]


@pytest.mark.parametrize("headers", ALLOWED, ids=str)
def test_own_pages_and_programs_may_ask(limited: tuple[int, Slow], headers: dict[str, str]) -> None:
    limited[1].go.set()
    assert ask(limited[0], "GET", "/", headers=headers).status == 200
    body = form(("photo", "a", SMALL))
    assert ask(limited[0], "POST", "/caption", body, FORM | headers).status == 200


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_pages_of_other_sites_may_not(limited: tuple[int, Slow], headers: dict[str, str]) -> None:
    body = form(("photo", "a", SMALL))
    for method, path in [("POST", "/caption"), ("GET", "/health"), ("GET", "/"), ("OPTIONS", "/caption")]:
        answer = ask(limited[0], method, path, body if method == "POST" else None, FORM | headers)
        assert answer.status == 403 and list(answer.json) == ["error"]
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert limited[1].batches == []


def test_link_from_another_site_may_be_followed_but_no_form_sent(limited: tuple[int, Slow]) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask(limited[0], "GET", "/", headers=headers).status == 200
    assert ask(limited[0], "POST", "/caption", form(("photo", "a", SMALL)), FORM | headers).status == 403


def test_two_hosts_are_none(limited: tuple[int, Slow]) -> None:
    with socket.create_connection(("127.0.0.1", limited[0]), 60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert connection.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 403")


# --- pages and answers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/health", 200),
        ("GET", "/caption", 405),
        ("POST", "/caption", 415),
        ("OPTIONS", "/caption", 405),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/nothing%0d%0aX-A: b", 404),
    ],
)
def test_every_answer_is_guarded(port: int, method: str, path: str, status: int) -> None:
    answer = ask(port, method, path.replace(" ", "%20"))
    assert answer.status == status
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in answer.headers and "x-a" not in answer.headers
    if status >= 400:
        assert answer.headers["content-type"] == "application/json" and list(answer.json) == ["error"]


@pytest.mark.parametrize("name", [MARKUP, "東京 🦊.png", "a'b;c=d.png", "../../etc/passwd", ""])
def test_name_of_a_file_is_text(port: int, name: str) -> None:
    answer = post(port, photos()[0], name)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["name"] == name


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_page_needs_nothing_from_elsewhere(port: int, path: str) -> None:
    answer = ask(port, "GET", path)
    text = answer.body.decode()
    links = [v for _, a in Page(text).elements for n, v in a.items() if n in ("src", "href", "action")]
    assert set(links) <= {"data:,", "docs", ".", "#", "caption", "openapi.json"}
    assert not re.search(r"https?://(?!127\.0\.0\.1)|@import|url\(", text)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        for inline in re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy


def test_name_of_a_model_is_text(predictor: Predictor) -> None:
    from captioner.web.app import App

    worker = Worker(predictor)
    worker.close()
    page = App(worker, Limits(), [MARKUP]).page_document.text
    assert not [tag for tag, attributes in Page(page).elements if tag == "b" or "onerror" in attributes]


def test_answers_are_what_the_description_says(port: int) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    description = ask(port, "GET", "/openapi.json").json

    def check(answer: Any, status: int) -> None:
        assert answer.status == status
        path = "/health" if "status" in answer.json else "/caption"
        (operation,) = description["paths"][path].values()
        schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        name = schema["$ref"].removeprefix("#/components/schemas/")
        strict = description["components"]["schemas"][name] | {"additionalProperties": False}
        jsonschema.Draft202012Validator.check_schema(strict)
        jsonschema.validate(answer.json, strict, jsonschema.Draft202012Validator)

    check(post(port, photos()[0]), 200)
    check(post(port, photos()[0], pictures="true"), 200)
    check(post(port, b"text"), 415)
    check(post(port, photos()[0], beam_size=0), 422)
    check(ask(port, "GET", "/health"), 200)
    with pytest.raises(jsonschema.ValidationError):
        check(post(port, photos()[0])._replace(body=json.dumps({"caption": 3}).encode()), 200)


def test_description_names_every_option_with_its_range(port: int) -> None:
    description = ask(port, "GET", "/openapi.json").json
    operation = description["paths"]["/caption"]["post"]
    fields = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {p["name"] for p in operation["parameters"]} == set(fields) - {"photo"}
    for parameter in operation["parameters"]:
        name, schema = parameter["name"], parameter["schema"]
        if name == "pictures":
            continue
        assert getattr(SearchConfig(), name) == schema["default"]
        for value in schema.get("enum", ["true", "false"] if schema["type"] == "boolean" else []):
            assert post(port, photos()[0], **{name: value}).status == 200
        if "minimum" not in schema:
            assert post(port, SMALL, **{name: "neither"}).status == 422
            continue
        step = 1 if schema["type"] == "integer" else 0.01
        for value, status in [(schema["minimum"] - step, 422), (schema["maximum"] + step, 422)]:
            assert post(port, SMALL, **{name: value}).status == status
        for value in (schema["minimum"], schema["maximum"]):
            assert post(port, photos()[0], **{name: value}).status == 200


def test_page_offers_the_options_of_the_endpoint(port: int) -> None:
    text = ask(port, "GET", "/").body.decode()
    offered = {a["name"]: a for tag, a in Page(text).elements if tag in ("input", "select") and "name" in a}
    for parameter in ask(port, "GET", "/openapi.json").json["paths"]["/caption"]["post"]["parameters"]:
        name, schema = parameter["name"], parameter["schema"]
        if name == "pictures":
            continue
        assert html.escape(schema["description"]) in text
        if "minimum" in schema:
            for key, value in (("min", "minimum"), ("max", "maximum"), ("value", "default")):
                assert float(offered[name][key] or "") == schema[value]
        for choice in schema.get("enum", []):
            assert f">{choice}</option>" in text


def test_browser_that_wants_a_page_gets_one(port: int, predictor: Predictor) -> None:
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    photo = photos()[0]
    answer = ask(port, "POST", "/caption", form(("photo", MARKUP, photo)), FORM | accept)
    page = answer.body.decode()
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/html")
    assert predictor.caption(photo).text in page
    assert not [tag for tag, attributes in Page(page).elements if tag == "b" or "onerror" in attributes]
    assert "script" not in [tag for tag, _ in Page(page).elements]
    wrong = ask(port, "POST", "/caption", form(("photo", "a", b"text")), FORM | accept)
    assert wrong.status == 415 and "not an image of a known format" in wrong.body.decode()


@pytest.mark.parametrize("words", [["a", "dog"], [*COLOURS, *OUTLINES]], ids=["photos", "scenes"])
def test_examples_are_what_the_model_knows(words: list[str]) -> None:
    pictures = examples(words)
    with served(Slow(), examples=pictures) as port:
        for name, data in pictures.items():
            answer = ask(port, "GET", f"/examples/{name}")
            assert answer.body == data and answer.headers["content-type"].startswith("image/")
            assert Image.open(io.BytesIO(data)).width > 200
        assert ask(port, "GET", "/examples/other.png").status == 404
    assert len(pictures) >= 5 and ("cat.jpg" in pictures) == ("dog" in words)


def test_ensemble_is_served(predictor: Predictor) -> None:
    both = captioner.load([tiny.model_file(), tiny.model_file()], "cpu")
    photo = photos()[0]
    with served(both) as port:
        answer = post(port, photo).json
    alone = predictor.caption(photo)
    assert answer["caption"] == alone.text and alone.alternatives is not None
    considered = [[word for word, _ in step] for step in answer["alternatives"]]
    assert considered == [[word for word, _ in step] for step in alone.alternatives]
    same(answer["log_prob"], alone.log_prob)
