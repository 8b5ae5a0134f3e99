"""What is common to the Java programs of COCO's evaluation code: how they are started, and how they fail.

pycocoevalcap's own wrappers write into its installed folder, print to the terminal and, once METEOR has died,
wait for ever on a lock, so we run its jars ourselves. A program is not believed because it exits with 0: a
stand-in for Java, a wrapper that greets, or too little memory would give numbers of other captions. Each
caller sends lines whose answers are known before and after its own, and compares.
"""

from __future__ import annotations

from collections.abc import Iterable

COMMAND = ("java", "-Dfile.encoding=UTF-8", "-Duser.language=en")  # a locale has its own decimal point
NO_JAVA = "install Java 8 or later"
NOISE = ("Picked up ", "Error occurred during initialization of VM")  # what says nothing by itself
LONGEST = 120  # letters of a complaint


class JavaError(Exception):
    """A Java program failed; the message says how, in a line."""


def patience(captions: int) -> float:
    """Seconds after which a program that works on so many captions is taken to hang; it needs a tenth."""
    return 300 + 0.1 * captions


def failure(error: OSError) -> JavaError:
    """Why Java could not be started."""
    if isinstance(error, FileNotFoundError):
        return JavaError(NO_JAVA)
    return JavaError(f"java: {error.strerror or error}")


def complaint(*outputs: str, status: int | None = None) -> str:
    """The first line that a program said about its failure.

    Args:
        outputs: what it wrote, the likeliest place first: standard error, then standard output, where
            the JVM reports that it cannot start.
        status: its exit status, told if it said nothing.
    """
    for line in _lines(outputs):
        if not line.startswith(NOISE):
            return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."
    return "it said nothing" + ("" if status is None else f" (exit status {status})")


def _lines(outputs: Iterable[str]) -> Iterable[str]:
    return (line for output in outputs for raw in output.splitlines() if (line := raw.strip()))
