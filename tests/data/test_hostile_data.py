"""Caption files as the world makes them: each is read right, or refused with one line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.caption_files import ROWS, WRITERS, Writer, coco, csv, jsonl, karpathy

from captioner.config.data import DataConfig
from captioner.data.load import load_split
from captioner.data.records import Record
from captioner.data.words import encode_captions
from captioner.errors import CaptionerError
from captioner.vocabulary import END, Vocabulary

every_format = pytest.mark.parametrize("writer", WRITERS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "sub/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def captions(config: DataConfig) -> list[tuple[str, ...]]:
    return [record.captions for record in load_split(config, "train")]


def refusal(config: DataConfig) -> str:
    with pytest.raises(CaptionerError) as caught:
        load_split(config, "train")
    message = str(caught.value)
    assert message.isprintable()
    return message


# --- bytes ----------------------------------------------------------------------------------------


@every_format
@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_byte_order_mark_and_line_ends_of_other_systems(folder: Path, writer: Writer, end: bytes) -> None:
    config, path = writer(folder, ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", end))
    assert captions(config) == [("A dog.", "Ein Hündchen."), ("A cat.",)]


@every_format
def test_encodings_that_are_mixed_are_refused_with_the_line(folder: Path, writer: Writer) -> None:
    config, path = writer(folder, ROWS)
    path.write_bytes(path.read_bytes().replace("ü".encode(), "ü".encode("latin-1")))
    lines = path.read_bytes().split(b"\n")
    number = next(i for i, line in enumerate(lines, 1) if b"\xfc" in line)
    assert refusal(config) == f"{path}:{number}: is not UTF-8 text, save the file as UTF-8"


@every_format
def test_utf_16_of_windows_is_read(folder: Path, writer: Writer) -> None:
    config, path = writer(folder, ROWS)
    expected = load_split(config, "train")
    path.write_text(path.read_text(), encoding="utf-16")
    assert load_split(config, "train") == expected


@every_format
def test_folder_for_a_caption_file_is_refused(folder: Path, writer: Writer) -> None:
    config, path = writer(folder, ROWS)
    path.unlink()
    path.mkdir()
    assert str(path) in refusal(config)


@every_format
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_device_for_a_caption_file_is_refused_unread(folder: Path, writer: Writer, kind: str) -> None:
    """A pipe without a writer would be waited for, and /dev/zero has no end."""
    config, path = writer(folder, ROWS)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert str(path) in refusal(config)


# --- captions -------------------------------------------------------------------------------------


@every_format
def test_caption_of_10000_words_is_read_whole_and_cut_for_training(folder: Path, writer: Writer) -> None:
    words = [f"word{i}" for i in range(10_000)]
    config, _ = writer(folder, [("a.jpg", " ".join(words)), ("b.jpg", "A cat.")])
    records = load_split(config, "train")
    assert records[0].captions == (" ".join(words),)
    vocabulary = Vocabulary.build(c for r in records for c in r.captions)
    (first,), _ = encode_captions(records, vocabulary, 50)
    assert vocabulary.decode(first) == words[:50] and first[50:] == [END]


@every_format
@pytest.mark.parametrize("text", ["", " ", ".", "\u200b", "\U0001f436"])
def test_caption_without_words_is_refused(folder: Path, writer: Writer, text: str) -> None:
    config, _ = writer(folder, [*ROWS, ("b.jpg", text)])
    assert "has no words" in refusal(config) or "not of the form" in refusal(config)


@every_format
@pytest.mark.parametrize("odd", ["\u2028", "\u0085", "\x0b", "\x1b", "\x7f"])
def test_odd_characters_stay_in_their_caption_and_out_of_words(
    folder: Path, writer: Writer, odd: str
) -> None:
    if writer in (karpathy, coco, jsonl) and odd < " ":
        pytest.skip("JSON has none")
    config, _ = writer(folder, [("a.jpg", f"A{odd}dog."), ("b.jpg", "A cat.")])
    (text,), _ = captions(config)
    words = Vocabulary.build([text]).words[4:]
    assert sorted(words) == ["a", "dog"]


@every_format
def test_captions_may_be_the_same(folder: Path, writer: Writer) -> None:
    config, _ = writer(folder, [("a.jpg", "A dog."), ("a.jpg", "A dog."), ("b.jpg", "A dog.")])
    assert captions(config) == [("A dog.", "A dog."), ("A dog.",)]


@pytest.mark.parametrize("value", ["nan", "NaN", "NA", "null", "None"])
def test_value_that_a_program_wrote_for_none_is_refused(folder: Path, value: str) -> None:
    config, path = csv(folder, [*ROWS, ("b.jpg", value)])
    assert refusal(config) == f"{path}:5: the caption {value!r} stands for a missing value"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999", "1" * 5000], ids=lambda n: n[:8])
@pytest.mark.parametrize("key", ["image", "caption"])
def test_numbers_in_a_table_are_refused(folder: Path, number: str, key: str) -> None:
    config, path = jsonl(folder, ROWS)
    other = {"image": "caption", "caption": "image"}[key]
    path.write_text(f'{{"{other}": "a.jpg", "{key}": {number}}}')
    assert refusal(config).startswith(f"{path}:1")


def test_half_a_character_is_refused(folder: Path) -> None:
    config, path = jsonl(folder, ROWS)
    path.write_text('{"image": "a.jpg", "caption": "A dog\\ud83d barks"}')
    assert "holds half a character" in refusal(config)


# --- wrong types, everywhere ----------------------------------------------------------------------


def places(node: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place in parsed JSON."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


@pytest.mark.parametrize("value", [None, True, -1, 1.5, "", [], {}, [[]], {"raw": 1}], ids=repr)
@pytest.mark.parametrize("writer", [karpathy, coco])
def test_wrong_type_at_any_place_is_refused_or_left_unread(
    folder: Path, writer: Writer, value: object
) -> None:
    config, path = writer(folder, ROWS)
    content = json.loads(path.read_text())
    right = load_split(config, "train")
    for place in places(content):
        changed = json.loads(json.dumps(content))
        node, parent = changed, None
        for key in place:
            parent, node = node, node[key]
        if parent is None:
            changed = value
        else:
            parent[place[-1]] = value
        path.write_text(json.dumps(changed))
        try:
            found = load_split(config, "train")
        except CaptionerError as error:
            assert str(path) in str(error) or "data.file" in str(error)
        else:  # another id is as good, as long as nothing else changes
            assert place[-1] == "id" or place[-1] == "image_id", place
            assert [r.captions for r in found] == [r.captions for r in right]


# --- images ---------------------------------------------------------------------------------------


@every_format
def test_image_that_is_missing_is_named(folder: Path, writer: Writer) -> None:
    config, _ = writer(folder, [*ROWS, ("none.jpg", "Nothing.")])
    assert "there is no image file" in refusal(config) and "none.jpg" in refusal(config)


@every_format
@pytest.mark.parametrize("name", ["sub/c.jpg", "sub/../a.jpg", "./a.jpg", "{folder}/a.jpg"])
def test_paths_of_every_kind_lead_to_their_file(folder: Path, writer: Writer, name: str) -> None:
    config, _ = writer(folder, [(name.format(folder=folder), "A dog.")])
    (record,) = load_split(config, "train")
    wanted = folder / ("sub/c.jpg" if "c.jpg" in name else "a.jpg")
    assert isinstance(record.source, Path) and record.source.samefile(wanted)


@every_format
@pytest.mark.parametrize("name", ["..", "sub", "sub/", "../../../../etc", "/", "a.jpg\0", "n" * 5000])
def test_paths_to_no_file_are_refused(folder: Path, writer: Writer, name: str) -> None:
    config, _ = writer(folder, [(name, "A dog.")])
    told = refusal(config)
    assert "there is no image file" in told or ("\0" in name and "is not UTF-8 text" in told)


@every_format
def test_names_with_odd_characters_lead_to_their_file(folder: Path, writer: Writer) -> None:
    names = ["with space.jpg", "ü.jpg", "a;b&c.jpg", "%41.jpg", "[a].jpg", "#1.jpg"]
    for name in names:
        (folder / name).touch()
    config, _ = writer(folder, [(name, "A dog.") for name in names])
    assert [r.source for r in load_split(config, "train")] == [folder / name for name in names]


def test_name_with_a_line_break_is_told_in_one_line(folder: Path) -> None:
    for writer in (karpathy, coco, jsonl):
        config, _ = writer(folder, [("a\nb\x1b.jpg", "A dog.")])
        assert r"a\nb\x1b.jpg" in refusal(config)


@every_format
def test_link_to_itself_in_the_folder_is_no_matter(folder: Path, writer: Writer) -> None:
    (folder / "loop.jpg").symlink_to("loop.jpg")
    config, _ = writer(folder, ROWS)
    assert len(captions(config)) == 2


def test_column_that_stands_twice_is_refused(folder: Path) -> None:
    config, path = csv(folder, ROWS)
    path.write_text("image,caption,caption\na.jpg,A dog.,A cat.\n")
    assert refusal(config) == f"{path}:1: has two columns 'caption' (data.caption_column)"


# --- all faults at once ---------------------------------------------------------------------------


@every_format
def test_faults_that_are_noted_leave_the_rest_as_it_is(folder: Path, writer: Writer) -> None:
    config, _ = writer(folder, [("none.jpg", "Nothing."), *ROWS, ("b.jpg", ".")])
    faults: list[CaptionerError] = []
    records = load_split(config, "train", faults)
    assert [(r.source, r.captions) for r in records] == [
        (folder / "a.jpg", ("A dog.", "Ein Hündchen.")),
        (folder / "b.jpg", ("A cat.",)),
    ]
    assert sorted(str(f) for f in faults if "no image" in str(f) or "no words" in str(f)) == sorted(
        str(f) for f in faults
    )
    assert len(faults) == 2 and refusal(config) == str(faults[0])


def test_records_are_what_they_were(folder: Path) -> None:
    config, _ = jsonl(folder, ROWS)
    assert load_split(config, "train", [])[1] == Record("b.jpg", folder / "b.jpg", ("A cat.",))
