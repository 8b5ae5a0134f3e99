"""``captioner serve`` under many uploads at a time, one in five broken: nothing lost, memory flat.

    python tests/tools/load_serve.py --clients 200 --uploads 10000

Each client sends its uploads over one connection, so an answer that came twice would be taken for the next
one's. Exits with 1 if an answer is lost, doubled or another photo's, or if memory still grows after the first
quarter. The default tests run a small number.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where support/ is

from support import tiny
from support.served import FORM, form, photos
from tools.load_caption import GROWTH, is_broken, resident

import captioner

Answers = dict[int, list[tuple[int, dict[str, object]]]]  # each upload's: statuses and what they say


def main() -> int:
    """Start the server, send the uploads, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--uploads", type=int, default=10_000)
    options = parser.parse_args()
    return load(options.clients, options.uploads, warm=options.uploads // 4)


def load(clients: int, uploads: int, warm: int | None = None) -> int:
    """0 if all is well. Memory is looked at where ``warm`` says after how many answers it must be flat."""
    with server() as (process, port):
        memory: list[tuple[int, int]] = []
        start = time.perf_counter()
        answers, busy = send(port, clients, uploads, lambda n: memory.append((n, resident(process.pid))))
        seconds = time.perf_counter() - start
        process.send_signal(signal.SIGINT)
        status = process.wait(60)
    problems = check(answers, uploads)
    if status:
        problems.append(f"the server ended with status {status}")
    early = max((rss for done, rss in memory if done <= (warm or 0)), default=0)
    late = max((rss for done, rss in memory if done > (warm or 0)), default=0)
    if warm is not None and late > early + GROWTH:
        problems.append(f"memory grew from {early / 2**20:.0f} to {late / 2**20:.0f} MB after the warm-up")
    print(f"{uploads:,} uploads of {clients} clients in {seconds:.0f} s: {uploads / seconds:,.1f} a second")
    print(f"{busy:,} times a client was told to come again")
    print(f"memory: {early / 2**20:.0f} MB in the first quarter, then {late / 2**20:.0f} MB at the most")
    print("\n".join(problems) or "every upload has its one answer")
    return 1 if problems else 0


@contextmanager
def server(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The command, and its port once it answers."""
    command = [sys.executable, "-m", "captioner", "serve", "--port", "0", "--device", "cpu"]
    command += ["--checkpoint", str(tiny.model_file()), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()  # captioner: http://127.0.0.1:PORT (Ctrl-C ends it)
            yield process, int(line.split()[1].rpartition(":")[2])
        finally:
            process.kill()


def send(port: int, clients: int, uploads: int, watch: object = None) -> tuple[Answers, int]:
    """All answers to the uploads, sent by ``clients`` at a time, and how often the server was busy."""
    sound, answers, busy, lock = photos(), {}, Counter[str](), threading.Lock()
    numbers = iter(range(uploads))

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            data = sound[number % len(sound)]
            body = form(("photo", f"{number}.png", data[: len(data) // 2] if is_broken(number) else data))
            while True:
                connection.request("POST", "/caption", body, FORM)
                response = connection.getresponse()
                answer = json.loads(response.read())
                if response.status != 503:
                    break
                busy["busy"] += 1
                time.sleep(float(response.headers["Retry-After"]))
            with lock:
                answers.setdefault(number, []).append((response.status, answer))
                if callable(watch) and number % 50 == 0:
                    watch(len(answers))
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, busy["busy"]


@cache
def captions() -> list[str]:
    """What the model says of each photo."""
    predictor = captioner.load(tiny.model_file(), "cpu")
    return [predictor.caption(photo).text for photo in photos()]


def check(answers: Answers, uploads: int) -> list[str]:
    """What is wrong with the answers, nothing if every upload has its own."""
    own = captions()
    problems = [
        f"upload {n} has {len(answers.get(n, []))} answers"
        for n in range(uploads)
        if len(answers.get(n, [])) != 1
    ]
    for number, said in answers.items():
        for status, answer in said:
            if is_broken(number):
                wrong = status != 422 or list(answer) != ["error"]
            else:
                caption = own[number % len(own)]
                wrong = (status, answer.get("name"), answer.get("caption")) != (200, f"{number}.png", caption)
            if wrong:
                problems.append(f"upload {number}: {status} {json.dumps(answer)[:200]}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
