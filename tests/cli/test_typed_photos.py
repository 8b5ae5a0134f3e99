"""Photos as they are typed: names with brackets or a dash, and patterns that match nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from support import tiny

from captioner.cli.main import main
from captioner.data.photos.find import find_images

Captioned = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def captioned(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Captioned:
    """``captioner caption ARGUMENTS``: the status, the paths that got a caption, and what was told."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, list[str], str]:
        with pytest.raises(SystemExit) as caught:
            main(["caption", "--checkpoint", str(tiny.model_file()), "--device", "cpu", *arguments])
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), [line.split("\t")[0] for line in out.splitlines()], err

    return command


def photo(path: str | Path) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32)).save(path)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("holiday [2019]/a.png", "holiday [2019]/*.png"),
        ("[a] b/[c]/a1.png", "[a] b/[c]/a[0-9].png"),
        ("x/trip [1]/a.png", "*/trip [1]/*.png"),
        ("trip [1]/deep/a.png", "trip [1]/**/*.png"),
        ("trip [1]/IMG [7] a.png", "trip [1]/IMG [7]*.png"),
        ("IMG [7] a.png", "IMG [7]*.png"),
        ("trip 1/a.png", "trip [12]/*.png"),
        ("trip 3/a.png", "trip [!12]/*.png"),
    ],
)
def test_brackets_may_be_part_of_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, pattern: str
) -> None:
    monkeypatch.chdir(tmp_path)
    photo(name)
    assert list(find_images([pattern])) == [Path(name)]


def test_folder_of_the_name_comes_before_those_that_the_pattern_matches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a[12]/x.png", "a1/y.png"):
        photo(name)
    assert list(find_images(["a[12]/*.png"])) == [Path("a[12]/x.png")]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_pattern_without_match_is_an_error_of_its_own(captioned: Captioned, place: int) -> None:
    for name in ("a.png", "b.png"):
        photo(name)
    typed = ["a.png", "b*.png"]
    typed.insert(place, "none*.png")
    status, paths, told = captioned(*typed)
    assert (status, paths) == (1, ["a.png", "b.png"])
    assert "captioner: none*.png: no image in it" in told


def test_folder_without_images_is_an_error_of_its_own(captioned: Captioned) -> None:
    photo("a.png")
    Path("empty").mkdir()
    status, paths, told = captioned("empty", "a.png")
    assert (status, paths) == (1, ["a.png"]) and "captioner: empty: no image in it" in told


def test_only_pattern_without_match_is_told_before_anything_is_done(captioned: Captioned) -> None:
    status, paths, told = captioned("none*.png")
    assert (status, paths) == (2, []) and told.startswith("captioner: none*.png: no image in it")


@pytest.mark.parametrize(
    "arguments",
    [["--", "-dash.png"], ["--quiet", "--", "-dash.png"], ["--beam-size", "2", "--", "-d*.png"]],
    ids=str,
)
def test_name_with_a_dash_comes_after_two(captioned: Captioned, arguments: list[str]) -> None:
    photo("-dash.png")
    assert captioned(*arguments)[:2] == (0, ["-dash.png"])
