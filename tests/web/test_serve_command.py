"""``captioner serve`` as a command: its options, its signals, and many uploads at a time."""

from __future__ import annotations

import copy
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest
from tools import load_serve

from captioner.cli.main import main

STUB = """
import asyncio, sys
from captioner.web.server import listen, make_server, url
async def app(scope, receive, send):
    while (await receive()).get("more_body"): pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})
with listen("127.0.0.1", 0) as listener:
    print(url(listener), flush=True)
    make_server(app).run([listener])
print("ended in order", "torch" in sys.modules)
"""


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["serve", "--checkpoint", "model.safetensors", *arguments])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


# --- options --------------------------------------------------------------------------------------


def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr("captioner.cli.serve.find_spec", lambda n: None if n == "uvicorn" else there(n))
    assert failed(capsys) == "captioner: serve: uvicorn is not installed: pip install captioner[web]"


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys\nfrom captioner.cli.main import main\n"
        "try: main(['serve', '--help'])\n"
        "except SystemExit: print(sorted({'torch', 'starlette', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--max-upload" in done.stdout and done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--queue", "0"], "--queue: 0 is out of range, it must be between 1 and 1e+06"),
        (["--max-upload", "0"], "--max-upload: 0 is out of range, it must be between 0.001 and 1e+06"),
        (
            ["--max-megapixels", "nan"],
            "--max-megapixels: nan is out of range, it must be between 0.001 and 1e+06",
        ),
        (["--timeout", "inf"], "--timeout: inf is out of range, it must be between 0.1 and 1e+06"),
        (["--batch-size", "-1"], "--batch-size: -1 is out of range, it must be between 1 and 1e+06"),
        (["--port", "70000"], "--port: 70000 is out of range, it must be between 0 and 65535"),
        (["--device", "cpu"], "checkpoint: there is no "),
        (["--host", "no.such.host.invalid"], "--host: 'no.such.host.invalid' is not an address "),
    ],
    ids=str,
)
def test_wrong_option_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert failed(capsys, "--port", "0", *arguments).startswith(f"captioner: {line}")


def test_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = failed(capsys, "--port", port)
    assert line == (
        f"captioner: --port: cannot listen at 127.0.0.1, port {port} (Address already in use); "
        "--port 0 takes one that is free"
    )


# --- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 2])
def test_signal_lets_answers_be_finished_and_a_second_does_not(number: signal.Signals, times: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUB], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            connection.sendall(
                b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
            )
            assert connection.recv(12) == b"HTTP/1.1 100"  # so it is being answered
            os.kill(process.pid, number)
            assert process.stderr.readline() == "\n"
            told = "captioner: answering what is under way; once more stops at once\n"
            assert process.stderr.readline() == told
            if times == 2:
                os.kill(process.pid, number)
                assert process.wait(60) == 128 + number
                return
            connection.sendall(b"body")
            answer = connection.makefile("rb").read()
        assert answer.partition(b"HTTP/1.1 ")[2].startswith(b"200") and answer.endswith(b"done")
        assert process.wait(60) == 0
        assert process.stdout.read() == "ended in order False\n"


# --- load -----------------------------------------------------------------------------------------


def test_no_upload_is_lost_doubled_or_anothers_and_ctrl_c_ends_it() -> None:
    assert load_serve.load(clients=40, uploads=150) == 0


@pytest.mark.slow
def test_memory_is_flat_under_many_uploads() -> None:
    assert load_serve.load(clients=200, uploads=6000, warm=1500) == 0


@pytest.fixture(scope="module")
def answers() -> Any:
    """Right answers to ten uploads, as the model gives them."""
    texts = load_serve.captions()
    right = {i: [(200, {"name": f"{i}.png", "caption": texts[i % len(texts)]})] for i in range(10)}
    right[4] = right[9] = [(422, {"error": "image: cannot be decoded (...)"})]
    assert load_serve.check(right, 10) == []
    return right


@pytest.mark.parametrize("damage", ["lost", "doubled", "swapped", "wrong", "spared"])
def test_check_would_notice(answers: Any, damage: str) -> None:
    answers = copy.deepcopy(answers)
    if damage == "lost":
        del answers[3]
    elif damage == "doubled":
        answers[3] *= 2
    elif damage == "swapped":
        answers[1], answers[2] = answers[2], answers[1]
    elif damage == "wrong":
        answers[0][0][1]["caption"] += " not"
    else:
        answers[4] = answers[3]
    assert load_serve.check(answers, 10)
