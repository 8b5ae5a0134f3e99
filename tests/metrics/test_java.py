"""Java that fails, or that answers something else than it was asked, loses no score but its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.java import ECHO, use_java

from captioner.metrics.coco import Scores, coco_scores

pytest.importorskip("pycocoevalcap.cider.cider")

CAPTIONS = ["a dog runs over the grass", "two men ride bikes on a road"]
CHINESE = ["一个女孩在公园里奔跑", "两只狗在海滩上玩耍"]
ANSWER = '"3.0 3.0 0.0"'
REAL = shutil.which("java")


def scored(captions: list[str] = CAPTIONS, unit: str = "word") -> Scores:
    """The scores of captions that equal their references."""
    return coco_scores(captions, [[caption] for caption in captions], unit)


@pytest.fixture
def java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Takes the script that ``java`` shall be."""
    return lambda script: use_java(monkeypatch, tmp_path, script)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", "java failed: it said nothing (exit status 0)"),
        ("exit 3", "java failed: it said nothing (exit status 3)"),
        ("cat > /dev/null; exit 0", "java failed: it said nothing (exit status 0)"),
        ("echo Welcome; cat", "java's answer is not the captions' tokens (7 lines for 6): Welcome"),
        ("cat; echo Goodbye", "java's answer is not the captions' tokens (7 lines for 6)"),
        ("sed 3d", "java's answer is not the captions' tokens (5 lines for 6)"),
        ("echo Welcome; sed '$d'", "java's answer is not the captions' tokens (6 lines for 6): Welcome"),
        ("head -c 3 /dev/zero | tr '\\0' '\\377'", "java's answer is not the captions' tokens (0 lines"),
        ("echo 'Unrecognized option: -cp' >&2; exit 1", "java failed: Unrecognized option: -cp"),
        (
            "echo Picked up JAVA_TOOL_OPTIONS: -Xmx1m >&2; echo Error occurred during initialization of VM; "
            "echo Too small maximum heap; exit 1",
            "java failed: Too small maximum heap",
        ),
    ],
)
def test_a_tokenizer_that_fails_is_not_believed(
    java: Callable[[str], None], script: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    java(script)
    scores = scored()
    assert scores.missing["METEOR"].startswith(said)
    assert scores.missing.keys() == {"METEOR"} and scores.meteor is None
    assert scores.tokenizer == "captioner (word)"
    assert scores.values == {"ROUGE-L": 1, "CIDEr": pytest.approx(10)}
    assert capfd.readouterr() == ("", "")


STOPPED = "its Java program stopped early; it needs 2 GB of memory: "
NO_NUMBER = "its Java program's answer is no number: "
WRONG = "its Java program gave wrong answers to captions that have known ones"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", STOPPED + "it said nothing (exit status 0)"),
        ("echo Killed >&2; exit 137", STOPPED + "Killed"),
        (f"read line; echo {ANSWER}; echo Out of memory >&2; exit 1", STOPPED + "Out of memory"),
        ("echo Welcome; cat", NO_NUMBER + "Welcome"),
        ("cat", NO_NUMBER + "SCORE ||| one two three ||| one two three"),
        ("echo Error occurred during initialization of VM; echo No space", STOPPED + "No space"),
        ("while read line; do echo 1.0; done", WRONG),
        (f"echo 7.0; while read line; do echo {ANSWER}; done", WRONG),
        (f"while read line; do echo {ANSWER}; echo {ANSWER}; done", WRONG),
        ("yes 0.5", WRONG),
    ],
)
@pytest.mark.parametrize("captions", [CAPTIONS, CHINESE])
def test_a_meteor_that_fails_is_not_believed(
    java: Callable[[str], None], script: str, said: str, captions: list[str]
) -> None:
    java(ECHO.format(meteor=script))
    scores = scored(captions, "word" if captions is CAPTIONS else "character")
    assert scores.missing == {"METEOR": said} and scores.meteor is None
    assert scores.values == {"ROUGE-L": 1, "CIDEr": pytest.approx(10)}


def test_a_meteor_that_answers_what_is_known_is_believed(java: Callable[[str], None]) -> None:
    one, two = "printf '1\\n1\\n'", "printf '0.4\\n0.6\\n0.5\\n'"
    cases = f"SCORE*) echo {ANSWER};; *'||| '*'||| '*) {two};; *) {one};;"
    java(ECHO.format(meteor=f'while read line; do case "$line" in {cases} esac; done'))
    scores = scored()
    assert scores.values["METEOR"] == 0.5
    assert (scores.tokenizer, scores.meteor, scores.missing) == ("ptb", "english", {})


def test_java_that_may_not_be_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "java").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert scored().missing == {"METEOR": "java: Permission denied"}


@pytest.mark.skipif(REAL is None, reason="needs Java")
def test_too_little_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1m")
    assert scored().missing == {"METEOR": "java failed: Too small maximum heap"}


def test_cider_of_one_image_is_missing(java: Callable[[str], None]) -> None:
    java("exit 0")
    scores = scored(CAPTIONS[:1])
    assert "there is one image" in scores.missing["CIDEr"] and scores.values.keys() == {"ROUGE-L"}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exec sleep 60", "java did not end within 0 seconds"),
        (ECHO.format(meteor="exec sleep 60"), STOPPED + "it said nothing (exit status -9)"),
    ],
)
def test_a_program_that_hangs_is_ended(
    java: Callable[[str], None], script: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ptb", "meteor"):
        monkeypatch.setattr(f"captioner.metrics.{module}.patience", lambda _: 0.3)
    java(script)
    assert scored().missing == {"METEOR": said}
