"""The commands as a user meets them: what they print, what they write, and how they exit."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import ANY

import numpy as np
import pytest
from PIL import Image
from support import tiny

import captioner
from captioner.cli import train as train_command
from captioner.cli.main import COMMANDS, main
from captioner.config.search import SearchConfig
from captioner.errors import CaptionerError
from captioner.metrics import coco
from captioner.system.signals import Stopped


class Outcome(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    """``captioner ARGUMENTS``, within this process."""

    def command(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        return Outcome(int(caught.value.code or 0), *capsys.readouterr())

    return command


@pytest.fixture
def caption(run: Command) -> Command:
    """``captioner caption ARGUMENTS`` with the tiny model on the CPU."""
    return lambda *arguments: run("caption", *arguments, "--checkpoint", tiny.model_file(), "--device", "cpu")


@pytest.fixture
def attend(run: Command) -> Command:
    return lambda *arguments: run(
        "attend", *arguments, "--checkpoint", tiny.model_file(), "--device", "cpu", "--max-length", 3
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three scenes."""
    return tiny.write_photos(tmp_path / "photos", "bca")


def expected(path: Path) -> str:
    return captioner.load(tiny.model_file(), "cpu").caption(path).text


def one_line(outcome: Outcome) -> str:
    """What is said of bad input, after a check that it is said as it should be."""
    assert outcome.status == 2 and outcome.out == ""
    assert outcome.err.startswith("captioner: ") and outcome.err.count("\n") == 1
    return outcome.err


# --- captioner ------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"], ["help"]], ids=str)
def test_help_names_every_command(run: Command, arguments: list[str]) -> None:
    outcome = run(*arguments)
    assert outcome.status == 0
    assert [f"  {name} " for name in COMMANDS if f"  {name} " not in outcome.out] == []


def test_version(run: Command) -> None:
    assert run("--version") == (0, f"captioner {captioner.__version__}\n", "")


def test_unknown_command_is_told_with_the_choices(run: Command) -> None:
    line = one_line(run("trian"))
    assert "'trian'" in line and "did you mean train?" in line
    assert [name for name in COMMANDS if name not in line] == []


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("train", ["cell=lstm  (coupled, gru", "training.epochs=10 ", "resume=RUN", "-m"]),
        ("evaluate", ["checkpoint", "split=test ", "search.beam_size=3", "data=scenes  (coco, flickr8k"]),
        ("average", ["MODEL", "--output", "--weights", "same start"]),
        ("compare", ["seeds", "gru_reset_after", "equal", "resumes", "experiment=quickstart"]),
        ("caption", ["PATH", "--checkpoint", "--format", "--output", "--beam-size", "--batch-size"]),
        ("attend", ["PATH", "--checkpoint", "--output", "--beam-size", "--format", "svg", "html", "gif"]),
        ("scenes", ["DIR", "--count", "--split", "--seed"]),
    ],
)
def test_help_of_a_command_tells_its_options(run: Command, command: str, options: list[str]) -> None:
    outcome = run(command, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert [option for option in options if option not in outcome.out] == []


def test_help_does_not_import_torch() -> None:
    program = (
        "import sys\n"
        "from captioner.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted({'torch', 'hydra', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "captioner", "none"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("captioner: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["train", "caption", "check"])
def test_a_working_folder_that_is_gone_is_told(
    run: Command, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    outcome = run(command, "a.jpg")
    assert outcome.status == 2
    assert outcome.err == "captioner: the working folder has been removed; change to another one\n"


def test_interruption_is_told_without_a_traceback(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_command, "run", interrupted)
    assert run("train") == (130, "", "captioner: interrupted\n")


@pytest.mark.parametrize("wake", [AttributeError("no save_nargs"), CaptionerError("the header is damaged")])
def test_interruption_is_told_where_clean_up_fails_in_its_wake(
    run: Command, monkeypatch: pytest.MonkeyPatch, wake: Exception
) -> None:
    """As argparse's and omegaconf's does when the signal lands within."""

    def interrupted(_: object) -> None:
        try:
            raise Stopped(15, "stopped; resume with --resume")
        finally:
            raise wake

    monkeypatch.setattr(train_command, "run", interrupted)
    assert run("train") == (143, "", "captioner: stopped; resume with --resume\n")


@pytest.mark.parametrize(
    ("given", "named"), [(("train", "-m", "cell=gru,lstm"), "-m: 2 processes"), (("compare",), "torchrun")]
)
def test_what_several_processes_cannot_do_is_refused(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: tuple[str, ...], named: str
) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    status, _, said = run(*given)
    assert status == 2 and named in said and said.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_bug_keeps_its_traceback(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: object) -> None:
        raise AttributeError("no such thing")

    monkeypatch.setattr(train_command, "run", failing)
    with pytest.raises(AttributeError, match="no such thing"):
        run("train")


# --- caption --------------------------------------------------------------------------------------


def test_text_is_path_and_caption(caption: Command, photos: Path) -> None:
    path = photos / "a.png"
    assert caption(path) == (0, f"{path}\t{expected(path)}\n", "")


def test_jsonl_has_path_caption_words_and_log_prob(caption: Command, photos: Path) -> None:
    path = photos / "a.png"
    (record,) = caption(path, "--format", "jsonl").records
    assert record.keys() == {"path", "caption", "words", "log_prob", "confidence"}
    assert (record["path"], record["caption"]) == (str(path), expected(path))
    assert record["words"] == record["caption"].split() and record["log_prob"] < 0


def paths(outcome: Outcome) -> list[str]:
    return [Path(record["path"]).name for record in outcome.records]


def test_files_keep_their_order(caption: Command, photos: Path) -> None:
    files = [photos / name for name in ("c.png", "a.png", "b.png", "a.png")]
    outcome = caption(*files, "--format", "jsonl", "--batch-size", 3)
    assert paths(outcome) == ["c.png", "a.png", "b.png", "a.png"]
    assert [record["caption"] for record in outcome.records] == [expected(file) for file in files]


def test_folder_is_searched_and_sorted(caption: Command, photos: Path) -> None:
    (photos / "below").mkdir()
    (photos / "below" / "d.png").write_bytes((photos / "a.png").read_bytes())
    (photos / "notes.txt").write_text("no image")
    outcome = caption(photos, "--format", "jsonl")
    assert (outcome.status, paths(outcome)) == (0, ["a.png", "b.png", "c.png", "d.png"])
    assert outcome.err == "captioner: 4 captioned, left out: 1 .txt\n"


def test_pattern_is_expanded(caption: Command, photos: Path) -> None:
    assert paths(caption(photos / "[ab].png", "--format", "jsonl")) == ["a.png", "b.png"]


def test_dash_reads_paths_from_standard_input(
    caption: Command, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = f"{photos / 'c.png'}\n\n{photos / 'a.png'}".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert paths(caption("-", photos / "b.png", "--format", "jsonl")) == ["c.png", "a.png", "b.png"]


def test_output_holds_what_would_be_printed(caption: Command, photos: Path, tmp_path: Path) -> None:
    printed = caption(photos).out
    assert caption(photos, "--output", tmp_path / "out.txt") == (0, "", "")
    assert (tmp_path / "out.txt").read_text() == printed


def test_broken_image_gets_an_error_record_and_status_1(caption: Command, photos: Path) -> None:
    (photos / "b.png").write_bytes((photos / "b.png").read_bytes()[:100])
    outcome = caption(photos, photos / "none.png", "--format", "jsonl")
    assert outcome.status == 1
    assert paths(outcome) == ["a.png", "b.png", "c.png", "none.png"]
    assert ["error" in record for record in outcome.records] == [False, True, False, True]
    assert [record.keys() for record in outcome.records if "error" in record] == [{"path", "error"}] * 2
    assert outcome.err == "captioner: 2 captioned, 2 could not be read\n"


def test_broken_image_in_text_is_told_on_standard_error(caption: Command, photos: Path) -> None:
    (photos / "b.png").write_bytes(b"broken")
    outcome = caption(photos)
    assert outcome.status == 1
    assert [line.split("\t")[0] for line in outcome.out.splitlines()] == [
        str(photos / "a.png"),
        str(photos / "c.png"),
    ]
    assert outcome.err.splitlines()[0].startswith(f"captioner: {photos / 'b.png'}: ")


def test_name_with_a_newline_stays_one_line(caption: Command, photos: Path) -> None:
    odd = (photos / "a.png").rename(photos / "two\nlines.png")
    assert caption(odd).out.count("\n") == 1
    (record,) = caption(odd, "--format", "jsonl").records
    assert record["path"] == str(odd)


def test_name_of_a_broken_image_with_a_newline_stays_one_line(caption: Command, photos: Path) -> None:
    odd = photos / "two\nlines.png"
    odd.write_bytes(b"broken")
    assert len(caption(odd).err.splitlines()) == 2  # of the image, of all images
    (record,) = caption(odd, "--format", "jsonl").records
    assert "\n" not in record["error"]


def test_name_that_is_no_text_is_captioned(caption: Command, photos: Path) -> None:
    odd = os.fsencode(photos / "odd") + b"\xff.png"
    os.rename(photos / "a.png", odd)
    outcome = caption(os.fsdecode(odd))
    assert (outcome.status, outcome.err) == (0, "")
    (record,) = caption(os.fsdecode(odd), "--format", "jsonl").records
    assert os.fsencode(record["path"]) == odd


def test_cmyk_and_16_bit_images_are_captioned(caption: Command, tmp_path: Path) -> None:
    Image.new("CMYK", (40, 40), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    Image.fromarray(np.full((40, 40), 40000, np.uint16)).save(tmp_path / "deep.png")
    outcome = caption(tmp_path, "--format", "jsonl")
    assert (outcome.status, paths(outcome)) == (0, ["cmyk.jpg", "deep.png"])
    assert all(record["words"] for record in outcome.records)


def test_options_reach_the_search(caption: Command, photos: Path) -> None:
    outcome = caption(photos, "--format", "jsonl", "--max-length", 2, "--beam-size", 1)
    assert [len(record["words"]) for record in outcome.records] == [2, 2, 2]


def test_every_batch_size_gives_the_same(caption: Command, photos: Path) -> None:
    assert caption(photos, "--batch-size", 1).out == caption(photos, "--batch-size", 2).out


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--beam-size", 0),
        ("--batch-size", 0),
        ("--max-length", 0),
        ("--workers", -1),
        ("--length-normalization", "nan"),
        ("--device", "gpu"),
        ("--device", "meta"),
    ],
)
def test_wrong_option_is_told(run: Command, photos: Path, option: str, value: object) -> None:
    outcome = run("caption", photos, "--checkpoint", tiny.model_file(), option, value)
    line = one_line(outcome)
    assert re.search(option.strip("-").replace("-", "[-_]"), line) and str(value) in line


def test_folder_without_images_is_told(caption: Command, tmp_path: Path) -> None:
    assert str(tmp_path) in one_line(caption(tmp_path))


def test_output_that_cannot_be_written_is_told(caption: Command, photos: Path, tmp_path: Path) -> None:
    assert "--output" in one_line(caption(photos, "--output", tmp_path / "no" / "out.txt"))


# --- where nobody takes what is printed -----------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["caption"]], ids=str)
def test_reader_that_has_gone_ends_a_command_in_silence(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    if arguments == ["caption"]:
        arguments = [*arguments, str(photos), "--checkpoint", str(tiny.model_file()), "--device", "cpu"]
    monkeypatch.setattr(sys, "stdout", os.fdopen(writer, "w"))
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code in (0, 1)
    sys.stdout.flush()  # as the interpreter does at its end
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_behind_standard_output_is_told(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", os.fdopen(os.open("/dev/full", os.O_WRONLY), "w"))
    with pytest.raises(SystemExit) as caught:
        main(["caption", str(photos), "--checkpoint", str(tiny.model_file()), "--device", "cpu"])
    sys.stdout.flush()
    assert caught.value.code == 2
    line = "captioner: --output: cannot write to standard output (No space left on device)\n"
    assert capfd.readouterr() == ("", line)


def test_letters_that_the_terminal_has_not_are_escaped(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "a.png").rename(photos / "fjäll.png")
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii"))
    with pytest.raises(SystemExit) as caught:
        main(["caption", str(photos), "--checkpoint", str(tiny.model_file()), "--device", "cpu"])
    assert caught.value.code == 0
    assert b"fj\\xe4ll.png\t" in printed.getvalue()


def test_closed_streams_are_no_bug(
    run: Command, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input is closed" in one_line(
        run("caption", "-", "--checkpoint", tiny.model_file(), "--device", "cpu")
    )
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as caught:
        main(["caption", str(photos), "--checkpoint", str(tiny.model_file()), "--device", "cpu"])
    assert caught.value.code == 0 and capsys.readouterr().err == ""


@pytest.mark.parametrize("columns", ["1", "0", "-5", "wide"])
def test_help_is_told_in_a_window_of_any_width(
    run: Command, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert "--checkpoint" in run("caption", "--help").out


# --- a model file that is none --------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04pickle", b"PK\3\4zip"], ids=str)
@pytest.mark.parametrize("command", ["caption", "attend", "evaluate"])
def test_wrong_checkpoint_is_told(
    run: Command, photos: Path, tmp_path: Path, command: str, content: bytes | None
) -> None:
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    arguments = {
        "caption": (photos, "--checkpoint", path),
        "attend": (photos, "--checkpoint", path, "--output", tmp_path / "figures"),
        "evaluate": (f"checkpoint={path}",),
    }[command]
    assert str(path) in one_line(run(command, *arguments))


# --- attend ---------------------------------------------------------------------------------------


def test_attend_draws_a_figure_an_image(attend: Command, photos: Path, tmp_path: Path) -> None:
    outcome = attend(photos, "--output", tmp_path / "new" / "figures")
    figures = sorted((tmp_path / "new" / "figures").iterdir())
    assert (outcome.status, outcome.err) == (0, "")
    assert [figure.name for figure in figures] == ["a.png", "b.png", "c.png"]
    for figure in figures:
        with Image.open(figure) as image:
            assert image.width > 300 and len(set(image.convert("RGB").getdata())) > 100


def test_attend_tells_figure_and_caption(attend: Command, photos: Path, tmp_path: Path) -> None:
    photo = photos / "a.png"
    path, figure, text = attend(photo, "--output", tmp_path).out.rstrip("\n").split("\t")
    assert (path, figure) == (str(photo), str(tmp_path / "a.png")) and len(text.split()) == 3


@pytest.mark.parametrize("ending", ["gif", "apng", "svg"])
def test_attend_draws_in_the_format_asked_for(
    attend: Command, photos: Path, tmp_path: Path, ending: str
) -> None:
    attend(photos, "--output", tmp_path / "figures", "--format", ending)
    files = sorted((tmp_path / "figures").iterdir())
    assert [file.name for file in files] == [f"a.{ending}", f"b.{ending}", f"c.{ending}"]
    start = {"gif": b"GIF89a", "apng": b"\x89PNG", "svg": b"<?xml"}[ending]
    assert all(file.read_bytes().startswith(start) for file in files)


def shown(page: Path) -> list[tuple[str, str]]:
    """Names and captions of the photos on a page."""
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"))[0])
    return [(entry["name"], entry["text"]) for entry in data["captions"]]


def test_attend_makes_an_index_of_all_images(attend: Command, photos: Path, tmp_path: Path) -> None:
    (photos / "b.png").write_bytes(b"broken")
    folder = tmp_path / "pages"
    outcome = attend(photos, "--output", folder, "--format", "html")
    assert outcome.status == 1 and str(photos / "b.png") in outcome.err
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))
    parts = [f"index_files/0000{n}.{ending}" for n in (1, 2) for ending in ("html", "jpg")]
    assert files == ["index.html", *parts]
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert [line[:2] for line in lines] == [
        [str(photos / name), str(folder / "index.html")] for name in ("a.png", "c.png")
    ]
    assert [shown(folder / part) for part in parts[::2]] == [
        [("a.png", lines[0][2])],
        [("c.png", lines[1][2])],
    ]
    index = (folder / "index.html").read_text(encoding="utf-8")
    assert [index.count(f'"{part}"') for part in parts[::2]] == [1, 1]
    listed = json.loads(re.findall(r'id="data">(.*?)</script>', index)[0])
    links = [part.removesuffix(".html") for part in parts[::2]]
    assert listed == {"links": links, "captions": [line[2] for line in lines], "names": ["a.png", "c.png"]}


def test_attend_makes_a_self_contained_page_of_one_image(
    attend: Command, photos: Path, tmp_path: Path
) -> None:
    attend(photos / "a.png", "--output", tmp_path / "pages", "--format", "html")
    (page,) = (tmp_path / "pages").iterdir()
    assert page.name == "index.html" and shown(page)[0][0] == "a.png"


def test_attend_makes_no_page_of_nothing(attend: Command, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    outcome = attend(tmp_path / "a.png", "--output", tmp_path / "pages", "--format", "html")
    assert outcome.status == 1 and list((tmp_path / "pages").iterdir()) == []


def test_images_of_one_name_get_figures_of_their_own(attend: Command, photos: Path, tmp_path: Path) -> None:
    (photos / "below").mkdir()
    (photos / "below" / "a.png").write_bytes((photos / "b.png").read_bytes())
    attend(photos / "a.png", photos / "below" / "a.png", "--output", tmp_path / "figures")
    one, other = sorted((tmp_path / "figures").iterdir())
    assert one.read_bytes() != other.read_bytes()


def test_attend_goes_on_after_a_broken_image(attend: Command, photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").write_bytes(b"broken")
    outcome = attend(photos / "a.png", photos / "b.png", "--output", tmp_path / "figures")
    assert outcome.status == 1 and str(photos / "a.png") in outcome.err
    assert [figure.name for figure in (tmp_path / "figures").iterdir()] == ["b.png"]


def test_attend_into_a_file_is_told(attend: Command, photos: Path) -> None:
    assert "--output" in one_line(attend(photos / "a.png", "--output", photos / "b.png"))


# --- evaluate -------------------------------------------------------------------------------------


@pytest.fixture
def evaluate(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``captioner evaluate`` of the tiny model on few scenes, without the metrics that take Java."""
    few = [o for o in tiny.OVERRIDES if o.startswith(("data", "run", "search"))]
    few += [f"checkpoint={tiny.model_file()}", f"run.cache={tmp_path / 'cache'}"]
    monkeypatch.setattr("captioner.evaluation.evaluate.coco_scores", lambda *_: coco.Scores({}, "captioner"))
    return lambda *arguments: run("evaluate", *few, *arguments)


def results(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return tuple(json.loads((folder / f"{n}.json").read_text()) for n in ("scores", "captions"))  # type: ignore[return-value]


def test_evaluate_writes_scores_with_their_protocol(evaluate: Command, tmp_path: Path) -> None:
    outcome = evaluate("split=val", "search.beam_size=3", f"output={tmp_path / 'out'}")
    assert (outcome.status, outcome.err) == (0, "")
    scores, _ = results(tmp_path / "out")
    assert scores["scores"].keys() == {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"}
    protocol = scores["protocol"]
    assert (protocol["data"], protocol["split"]) == ("scenes", "val")
    assert (protocol["images"], protocol["references"]) == (8, 40)
    assert protocol["bleu_tokenizer"] == "captioner (word)"
    assert protocol["search"].keys() == {field.name for field in fields(SearchConfig)}
    assert (protocol["search"]["beam_size"], protocol["search"]["length_normalization"]) == (3, 0.7)
    assert protocol["model_sha256"] == hashlib.sha256(tiny.model_file().read_bytes()).hexdigest()


def test_evaluate_writes_captions_in_cocos_results_format(evaluate: Command, tmp_path: Path) -> None:
    evaluate(f"output={tmp_path / 'out'}")
    _, captions = results(tmp_path / "out")
    assert [entry.keys() for entry in captions] == [{"image_id", "caption"}] * 8
    assert [entry["image_id"] for entry in captions] == [record.image_id for record in tiny.records()]
    assert len({entry["caption"] for entry in captions}) > 1


def test_evaluate_prints_a_table(evaluate: Command) -> None:
    out = evaluate("split=val").out
    row = re.compile(r"^(BLEU-\d) +(\d+\.\d)  (\d+\.\d) to (\d+\.\d)$", re.MULTILINE)
    assert [name for name, *_ in row.findall(out)] == [f"BLEU-{n}" for n in range(1, 5)]
    assert all(float(low) <= float(score) <= float(high) for _, score, low, high in row.findall(out))
    assert "8 images, 40 references" in out


def test_evaluate_twice_gives_the_same(evaluate: Command, tmp_path: Path) -> None:
    for name in ("one", "two"):
        evaluate(f"output={tmp_path / name}")
    assert results(tmp_path / "one") == results(tmp_path / "two")


def test_batch_size_does_not_change_the_scores(evaluate: Command, tmp_path: Path) -> None:
    for size in (1, 8):
        evaluate(f"output={tmp_path / str(size)}", f"batch_size={size}")
    assert results(tmp_path / "1") == results(tmp_path / "8")


@pytest.mark.parametrize("override", ["split=training", "search.beam_size=0", "batch_size=0", "data=none"])
def test_evaluate_tells_what_is_wrong(evaluate: Command, override: str) -> None:
    assert override.split("=")[0] in one_line(evaluate(override))


def test_evaluate_tells_before_it_begins_that_it_cannot_write(evaluate: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "output" in one_line(evaluate(f"output={tmp_path / 'file' / 'out'}"))


def test_run_of_a_multirun_can_be_evaluated(run: Command, evaluate: Command, tmp_path: Path) -> None:
    few = [o for o in tiny.OVERRIDES if not o.startswith("search")][-8:]  # fewer make a shorter name
    few += ["data.train=4", "data.val=4", f"run.cache={tmp_path / 'cache'}"]
    run("train", "-m", f"hydra.sweep.dir={tmp_path / 'sweep'}", *few, "training.seed=0,1")
    for model in (tmp_path / "sweep").glob("**/model.safetensors"):
        assert evaluate(f"checkpoint={model.parent}") == (0, ANY, "")


def test_multirun_of_evaluate_writes_nothing(
    evaluate: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert evaluate("search.beam_size=1,2", "-m") == (0, ANY, "")
    assert list((tmp_path / "here").iterdir()) == []


# --- scenes ---------------------------------------------------------------------------------------


def test_scenes_writes_images_and_captions(run: Command, tmp_path: Path) -> None:
    table = tmp_path / "scenes" / "val.jsonl"
    assert run("scenes", tmp_path / "scenes", "--split", "val", "--count", 3) == (0, f"{table}\n", "")
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert len(rows) == 3 and all((table.parent / row["image"]).is_file() for row in rows)


# --- help, errors and completion ------------------------------------------------------------------


HEAVY = {"torch", "torchvision", "matplotlib"}


@pytest.mark.parametrize(
    "typed",
    [
        *(f"{name} --help" for name in COMMANDS),
        *("help caption", "version", "--version", ""),
        "trian",
        "caption",
        "caption x.jpg --checkpoint m --beem-size 3",
        "caption x.jpg --checkpoint m --beam-size 0",
        "caption holday --checkpoint m",
        "attend x.jpg --checkpoint m",
        "serve --prot 80",
        "scenes",
        "average a --weight 1",
        "train decoder.hiden=3",
        "evaluate",
        "compare seeds=[-1]",
        "check data=cocoo",
        "completion fihs",
    ],
)
def test_help_and_usage_errors_do_not_wait_for_torch(typed: str) -> None:
    program = (
        "import sys\n"
        "from captioner.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        f"except SystemExit: print(sorted({HEAVY} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", program, *typed.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    if done.stderr:  # an error: one line that says "captioner" once
        assert done.stderr.startswith("captioner: ") and done.stderr.count("\n") == 1
        assert "captioner: captioner" not in done.stderr and "usage:" not in done.stderr


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("trian", "train"),
        ("caption x --checkpoint m --beem-size 3", "--beam-size"),
        ("attend x --checkpoint m --output o --fromat png", "--format"),
        ("serve --checkpoint m --prot 80", "--port"),
    ],
)
def test_nearest_word_is_suggested(run: Command, typed: str, near: str) -> None:
    assert f"(did you mean {near}?)" in one_line(run(*typed.split()))


def test_help_of_a_command_can_be_asked_for_in_two_ways(run: Command) -> None:
    assert run("help", "caption") == run("caption", "--help")
    assert run("help", "train") == run("train", "--help")


def test_devices_of_this_machine_are_told(run: Command, photos: Path) -> None:
    outcome = run("caption", photos, "--checkpoint", tiny.model_file(), "--device", "cdua")
    assert "this machine has auto, cpu" in one_line(outcome)


def completions(line: str) -> set[str]:
    """What a shell is told when the tabulator is pressed at the end of the line."""
    read, write = os.pipe()
    environment = os.environ | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": f"/dev/fd/{write}",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, "-m", "captioner"]
    subprocess.run(command, env=environment, pass_fds=[write], check=False, capture_output=True)
    os.close(write)
    with open(read, encoding="utf-8") as file:
        return {found.strip() for found in file.read().split("\n")} - {""}


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs /dev/fd")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("captioner ca", {"caption"}),
        ("captioner caption --beam", {"--beam-size"}),
        ("captioner attend --format s", {"svg"}),
        ("captioner train decoder.hid", {"decoder.hidden_size="}),
        ("captioner train cell=g", {"cell=gru"}),
    ],
)
def test_shell_completes(line: str, found: set[str]) -> None:
    pytest.importorskip("argcomplete")
    assert completions(line) == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(run: Command, shell: str) -> None:
    pytest.importorskip("argcomplete")
    status, out, err = run("completion", shell)
    assert (status, err) == (0, "") and "_ARGCOMPLETE" in out and "captioner" in out


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]])
def test_a_reader_who_has_seen_enough_gets_no_traceback(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 1 and capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["train", "evaluate", "compare", "check", "encode"])
def test_unknown_option_beside_keys_is_told_in_one_line(run: Command, command: str) -> None:
    told = f"captioner: {command}: unrecognized arguments: --foo; see captioner {command} --help\n"
    assert run(command, "--foo", "run.device=cpu") == (2, "", told)
