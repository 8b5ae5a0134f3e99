"""METEOR 1.5 (Denkowski and Lavie 2014), by the jar of pycocoevalcap."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import IO

import numpy as np

from captioner.metrics.java import COMMAND, NOISE, JavaError, complaint, failure, patience

ENGLISH = ("-l", "en", "-norm")
OTHER = ("-l", "other", "-m", "exact")  # the parameters for all languages; it must not tokenize
KNOWN = "one two three"  # asked first and last: all three words of it match
KNOWN_COUNTS = [3.0, 3.0]  # how the answer begins: words of the caption and of the reference
TO_END = 3  # seconds that a program gets to end once it has stopped talking


@dataclass(frozen=True)
class Meteor:
    """What the program found.

    Attributes:
        corpus: METEOR over the corpus, 0 to 1.
        images: of each image by itself, ``(images,)``.
        counts: what they are computed from, ``(images, 23)``, see ``captioner.metrics.meteor_formula``.
    """

    corpus: float
    images: np.ndarray
    counts: np.ndarray


def meteor(found: Mapping[int, Sequence[str]], wanted: Mapping[int, Sequence[str]], english: bool) -> Meteor:
    """METEOR over the corpus and of each image.

    Args:
        found: one caption by image, its tokens with a space between.
        wanted: one or more references by image.
        english: matches words by stem, synonym and paraphrase too. False: only equal words, with the
            weights that the paper has for any language.

    Raises:
        JavaError: the program cannot be started, stopped early, or answered what is no answer.
        ImportError: pycocoevalcap is not installed.
    """
    import pycocoevalcap.meteor.meteor as package

    jar = Path(package.__file__).with_name(package.METEOR_JAR)
    command = [*COMMAND, "-Xmx2G", "-jar", str(jar), "-", "-", "-stdio", *(ENGLISH if english else OTHER)]
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        try:
            program = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise failure(error) from error
        watch = Timer(patience(sum(map(len, wanted.values()))), program.kill)
        watch.start()
        try:
            return _converse(program, found, wanted)
        except (OSError, JavaError) as error:  # it no longer reads or answers, or answers nonsense
            _close(program.stdin)
            with suppress(subprocess.TimeoutExpired):
                program.wait(TO_END)
            if isinstance(error, JavaError) and not program.returncode:
                raise
            rest = program.stdout.read() if program.stdout and program.returncode is not None else ""
            errors.seek(0)
            said = complaint(errors.read(), rest, status=program.returncode)
            stopped = "its Java program stopped early; it needs 2 GB of memory"
            raise JavaError(f"{stopped}: {said}") from None
        finally:
            watch.cancel()
            program.kill()
            program.wait()
            for pipe in (program.stdin, program.stdout):
                _close(pipe)


def _converse(
    program: subprocess.Popen[str], found: Mapping[int, Sequence[str]], wanted: Mapping[int, Sequence[str]]
) -> Meteor:
    questions, answers = program.stdin, program.stdout
    assert questions and answers

    def answer() -> list[float]:
        if not (line := answers.readline()) or line.startswith(NOISE):
            raise BrokenPipeError
        try:
            return [float(number) for number in line.split()]
        except ValueError:
            raise JavaError(f"its Java program's answer is no number: {complaint(line)}") from None

    def ask(*fields: str) -> list[float]:
        questions.write(" ||| ".join(field.replace("|||", "|") for field in fields) + "\n")
        questions.flush()
        return answer()

    def counted(caption: str, references: Sequence[str]) -> list[float]:
        return ask("SCORE", *references, caption)

    def check(right: bool) -> None:
        if not right:
            raise JavaError("its Java program gave wrong answers to captions that have known ones")

    first = counted(KNOWN, [KNOWN])
    check(first[:2] == KNOWN_COUNTS)
    counts = [counted(found[i][0], wanted[i]) for i in found]
    check(counted(KNOWN, [KNOWN]) == first and {len(each) for each in counts} == {len(first)})
    for score in (ask("EVAL", " ".join(map(str, first))), answer()):  # of the image, of them all
        check(len(score) == 1 and math.isclose(score[0], 1))
    scores = [ask("EVAL", *(" ".join(map(str, each)) for each in counts)), *(answer() for _ in counts)]
    check(all(len(score) == 1 and 0 <= score[0] <= 1 for score in scores))
    images = np.array([score for (score,) in scores[:-1]])
    return Meteor(scores[-1][0], images, np.array(counts))


def _close(pipe: IO[str] | None) -> None:
    with suppress(BrokenPipeError):  # what was not sent yet
        if pipe:
            pipe.close()
