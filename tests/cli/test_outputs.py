"""No command writes over a file that exists, or that it reads, by any name, unless it is told to."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import tiny
from support.exits import exits

from captioner.cli.main import main
from captioner.system.outputs import file_id, free_name, refuse_input

Command = Callable[..., int]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    """A command's exit status; what it said is in ``run.err``."""
    return exits(capsys)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tiny.write_photos(tmp_path / "photos", "ab")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def model() -> list[object]:
    return ["--checkpoint", tiny.model_file(), "--device", "cpu"]


# --- every command that writes -------------------------------------------------------------------------


def commands(folder: Path) -> dict[str, tuple[list[object], str, str]]:
    """By name: a command that writes into ``folder``, a file that it writes there, and what permits it."""
    few = [option for option in tiny.OVERRIDES if option.startswith(("data", "run", "search"))]
    photos = folder.parent / "photos"
    out, file = f"output={folder}", tiny.model_file()
    return {
        "train": (["train", *tiny.OVERRIDES, out], "metrics.jsonl", "overwrite=true"),
        "evaluate": (
            ["evaluate", f"checkpoint={file}", *few, out],
            "scores.json",
            "overwrite=true",
        ),
        "compare": (
            ["compare", "seeds=[0]", *tiny.OVERRIDES, out],
            "report.md",
            "overwrite=true",
        ),
        "check": (["check", "data=scenes", f"{out}/report.json"], "report.json", "overwrite=true"),
        "average": (
            ["average", file, file, "-o", folder / "m.safetensors"],
            "m.safetensors",
            "--overwrite",
        ),
        "scenes": (["scenes", folder, "--count", 2], "test_00001.png", "--overwrite"),
        "caption": (["caption", photos, *model(), "--output", folder / "c.csv"], "c.csv", "--overwrite"),
        "attend": (
            ["attend", photos, *model(), "--output", folder, "--format", "html"],
            "index.html",
            "--overwrite",
        ),
    }


@pytest.mark.parametrize("name", commands(Path()))
def test_file_that_exists_is_left_unless_it_may_be_replaced(
    name: str, run: Command, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))  # without Java, whose start takes seconds
    folder = tmp_path / "out"
    folder.mkdir()
    arguments, file, permission = commands(folder)[name]
    (folder / file).write_text("the user's")
    before = snapshot(tmp_path)
    assert run(*arguments) == 2
    assert permission in run.err and file in run.err  # type: ignore[attr-defined]
    assert snapshot(tmp_path) == before
    if name != "compare":  # which takes a while
        assert run(*arguments, permission) == 0
        assert (folder / file).read_bytes() != b"the user's"


def test_every_command_is_walked() -> None:
    from captioner.cli.main import COMMANDS

    # export never replaces anything, encode only adds to a cache; merge is walked in tests/bulk/
    others = {"serve", "completion", "info", "merge", "export", "encode"}
    assert set(commands(Path())) == set(COMMANDS) - others


# --- an input by any name ------------------------------------------------------------------------------


def names_of(path: Path) -> dict[str, Path]:
    """Other names of a file."""
    folder = path.parent.parent
    link, hard = folder / "link.csv", folder / "hard.csv"
    link.symlink_to(path)
    os.link(path, hard)
    return {
        "itself": path,
        "dots": path.parent / ".." / path.parent.name / path.name,
        "link": link,
        "hard": hard,
    }


@pytest.mark.parametrize("name", ["itself", "dots", "link", "hard"])
def test_photo_is_never_an_output(name: str, run: Command, photos: Path) -> None:
    photo = photos / "a.csv"
    shutil.move(photos / "a.png", photo)  # whose ending does not protect it
    output = names_of(photo)[name]
    before = snapshot(photos.parent)
    assert run("caption", photos / "b.png", photo, *model(), "--output", output, "--overwrite") == 2
    assert "is an input" in run.err  # type: ignore[attr-defined]
    assert snapshot(photos.parent) == before


def test_photo_of_the_shell_s_pattern_is_no_output(run: Command, photos: Path) -> None:
    before = snapshot(photos)
    assert run("caption", *model(), "--output", photos / "a.png", photos / "b.png") == 2
    assert "would be a photo by its name" in run.err  # type: ignore[attr-defined]
    assert snapshot(photos) == before


@pytest.mark.parametrize("name", ["itself", "dots", "link", "hard"])
def test_model_is_never_an_output_of_its_average(name: str, run: Command, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    file = Path(shutil.copy(tiny.model_file(), tmp_path / "run" / "model.safetensors"))
    for given in (file, file.parent):
        names = names_of(file) if given == file else {name: file}
        assert run("average", given, "-o", names[name], "--overwrite") == 2
        assert "is an input" in run.err  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["itself", "dots", "link", "hard"])
def test_caption_file_is_never_a_report(name: str, run: Command, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert run("scenes", data, "--split", "train", "--count", 3) == 0
    output = names_of(data / "train.jsonl")[name]
    before = snapshot(tmp_path)
    given = ["check", "data=table", f"data.train={data / 'train.jsonl'}", f"data.val={data / 'train.jsonl'}"]
    assert run(*given, f"output={output}", "overwrite=true") == 2
    assert "is an input" in run.err and snapshot(tmp_path) == before  # type: ignore[attr-defined]


def test_run_is_never_an_output_of_one_that_starts_from_it(run: Command, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run("train", *tiny.OVERRIDES, "training.epochs=1", f"output={folder}") == 0
    before = snapshot(folder)
    for init in (folder, folder / "model.safetensors", tmp_path / "run" / ".." / "run"):
        given = ["train", *tiny.OVERRIDES, f"init={init}", f"output={folder}", "overwrite=true"]
        assert run(*given) == 2
        assert "is an input" in run.err  # type: ignore[attr-defined]
    assert snapshot(folder) == before


def test_other_cases_are_the_same_file_where_the_disk_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a disk gives both names one identity, which is all that is compared."""
    (tmp_path / "a.csv").write_text("a photo")
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda path, *a, **k: real(str(path).casefold(), *a, **k))
    upper = tmp_path / "A.CSV"
    assert file_id(str(upper)) is not None
    with pytest.raises(Exception, match="is an input"):
        refuse_input(upper, [tmp_path / "a.csv"], "--output")


# --- figures -------------------------------------------------------------------------------------------


def test_figures_take_free_names_beside_photos(run: Command, photos: Path) -> None:
    before = snapshot(photos)
    for overwrite in ([], ["--overwrite"]):
        assert (
            run("attend", photos / "a.png", photos / "b.png", *model(), "--output", photos, *overwrite) == 0
        )
        after = snapshot(photos)
        assert {name: after[name] for name in before} == before
    assert sorted(set(after) - set(before)) == ["a-2.png", "a-3.png", "b-2.png", "b-3.png"]


def test_figures_of_another_command_are_kept(run: Command, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    shutil.copy(photos / "b.png", tmp_path / "other" / "a.png")
    out = tmp_path / "figures"
    run("attend", photos / "a.png", *model(), "--output", out)
    first = (out / "a.png").read_bytes()
    run("attend", tmp_path / "other" / "a.png", *model(), "--output", out)
    assert sorted(snapshot(out)) == ["a-2.png", "a.png"] and (out / "a.png").read_bytes() == first
    run("attend", tmp_path / "other" / "a.png", *model(), "--output", out, "--overwrite")
    assert sorted(snapshot(out)) == ["a-2.png", "a.png"] and (out / "a.png").read_bytes() != first


def test_names_that_differ_in_case_alone_are_one(tmp_path: Path) -> None:
    taken: set[str] = set()
    found = [free_name(tmp_path, stem, "png", taken).name for stem in ("IMG", "img", "Img")]
    assert found == ["IMG.png", "img-2.png", "Img-3.png"]


def test_name_too_long_for_a_figure_is_one_error(run: Command, photos: Path, tmp_path: Path) -> None:
    long = photos / ("x" * 251 + ".png")
    shutil.copy(photos / "a.png", long)
    out = tmp_path / "figures"
    assert run("attend", long, photos / "b.png", *model(), "--output", out, "--format", "apng") == 1
    assert sorted(snapshot(out)) == ["b.apng"]


# --- what a command wrote is no photo for it ------------------------------------------------------------


def captioned(out: str) -> list[str]:
    """The names of the photos that a command on photos printed."""
    return sorted(Path(line.split("\t")[0]).name for line in out.splitlines())


def folder_by(name: str, photos: Path) -> Path:
    """``photos/maps`` by another name, which may not exist yet."""
    link = photos.parent / "link"
    if not link.is_symlink():
        link.symlink_to(photos)
    return {
        "itself": photos / "maps",
        "dots": photos / ".." / photos.name / "maps",
        "link": link / "maps",
        "below": photos / "maps" / "deep" / "er",
    }[name]


@pytest.mark.parametrize(
    ("name", "kind"),
    [  # each name and each kind once, and all pairs where there is time
        pytest.param(name, kind, marks=[] if i == j else pytest.mark.slow)
        for i, name in enumerate(["itself", "dots", "link", "below"])
        for j, kind in enumerate(["png", "gif", "apng", "html"])
    ],
)
def test_output_folder_among_the_photos_is_left_out(
    name: str, kind: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "z").mkdir()
    shutil.copy(photos / "a.png", photos / "z" / "c.png")
    output = folder_by(name, photos)
    for typed, more in ((photos, []), (photos, ["--overwrite"]), (f"{photos}/**/*.*g*", ["--overwrite"])):
        with pytest.raises(SystemExit) as caught:
            given = ["attend", typed, *model(), "--output", output, "--format", kind, *more]
            main([str(argument) for argument in given])
        out, err = capsys.readouterr()
        assert caught.value.code in (0, None)
        assert captioned(out) == ["a.png", "b.png", "c.png"]
        assert err.count("3 in the output folder") == (1 if more else 0)
    figures = 6 if kind == "html" else 3
    assert len([path for path in output.rglob("*") if path.is_file()]) == figures + (kind == "html")


def test_output_folder_that_is_made_while_photos_are_found_is_left_out(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "z").mkdir()  # scanned after the first photos are drawn
    given = ["attend", photos, *model(), "--batch-size", 1, "--workers", 0, "--output", photos / "z" / "maps"]
    with pytest.raises(SystemExit):
        main([str(argument) for argument in given])
    assert captioned(capsys.readouterr().out) == ["a.png", "b.png"]


def test_resumed_command_does_not_draw_its_figures(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = photos / "maps"
    maps.mkdir()
    shutil.copy(photos / "a.png", maps / "a.png")
    done = {"path": str(photos / "a.png"), "caption": "a circle", "output": str(maps / "a.png")}
    (maps / "attend.part").write_text(json.dumps(done) + "\n")
    with pytest.raises(SystemExit):
        main([str(a) for a in ["attend", photos, *model(), "--output", maps, "--resume"]])
    out, err = capsys.readouterr()
    assert captioned(out) == ["b.png"]
    assert err == "captioner: 2 captioned, left out: 1 in the output folder\n"


@pytest.mark.parametrize("kind", ["png", "gif", "apng", "html"])
def test_figures_beside_the_photos_are_left_out(
    kind: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["attend", photos, *model(), "--output", photos, "--format", kind]
    for more in ([], ["--overwrite"]):
        with pytest.raises(SystemExit):
            main([str(argument) for argument in [*given, *more]])
        out, err = capsys.readouterr()
        assert captioned(out) == ["a.png", "b.png"]
    assert ("2 in the output folder" if kind == "html" else "2 drawn by captioner") in err


def test_output_folder_that_is_named_is_read(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Photos are below the folder of the figures, or in it: whoever names them wants them captioned."""
    for output in (photos.parent, photos):
        with pytest.raises(SystemExit):
            main([str(argument) for argument in ["attend", photos, *model(), "--output", output]])
        assert captioned(capsys.readouterr().out) == ["a.png", "b.png"]


@pytest.mark.parametrize("kind", ["txt", "xmp"])
def test_sidecars_are_no_photos(kind: str, run: Command, photos: Path) -> None:
    for more in ([], ["--overwrite"]):
        assert run("caption", photos, *model(), "--format", kind, *more) == 0
        assert len(snapshot(photos)) == 4
    assert run.err == f"captioner: 2 captioned, left out: 2 .{kind}\n"  # type: ignore[attr-defined]


# --- the first photo is found before an output is opened -------------------------------------------------


@pytest.mark.parametrize("command", ["caption", "attend"])
def test_nothing_is_made_when_there_is_no_photo(command: str, run: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    output = tmp_path / "out.csv" if command == "caption" else tmp_path / "out"
    assert run(command, tmp_path / "empty", *model(), "--output", output) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


def test_output_of_771_captions_survives_an_empty_folder(run: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    old = tmp_path / "old.jsonl"
    old.write_text('{"path": "a", "caption": "b"}\n' * 771)
    for given in ([], ["--overwrite"], ["--resume"]):
        assert run("caption", tmp_path / "empty", *model(), "--output", old, *given) == 2
        assert old.read_text().count("\n") == 771
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "old.jsonl"]
