"""Caption tables as programs write them: each is read as the program would read it back, or refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioner.config.data import CocoConfig, DataConfig, Flickr8kConfig, KarpathyConfig, TableConfig
from captioner.data.load import load_split
from captioner.errors import CaptionerError

TEXTS = ["a dog, running", 'it\'s a "cat"', "deux chiens", 'a 5" ruler\\here']


def images(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1, 1)).save(folder / name, "PNG")


def table(folder: Path, content: str, name: str = "x.csv", **more: object) -> TableConfig:
    images(folder, "a.jpg", "b.jpg")
    (folder / name).write_text(content, encoding="utf-8")
    return TableConfig(root=str(folder), train=name, **more)  # type: ignore[arg-type]


def captions(config: DataConfig, split: str = "train") -> dict[str, list[str]]:
    return {str(record.image_id): list(record.captions) for record in load_split(config, split)}


def refusal(config: DataConfig, split: str = "train") -> str:
    with pytest.raises(CaptionerError) as caught:
        load_split(config, split)
    return str(caught.value)


def row(delimiter: str, *cells: str) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter).writerow(cells)
    return line.getvalue()


# --- lists in cells -------------------------------------------------------------------------------

LISTS: dict[str, Callable[[list[str]], str]] = {
    "Python": repr,
    "JSON": json.dumps,
    "JSON without ASCII's limits": lambda texts: json.dumps(texts, ensure_ascii=False),
    "tuple": lambda texts: repr(tuple(texts)),
    "numpy, over several lines": lambda texts: str(np.array(texts, object)),
    "numpy, as its repr": lambda texts: repr(np.array(texts, object)),
    "numpy, of another version": lambda texts: f"np.array({texts!r}, dtype='<U9')",
    "spaces inside": lambda texts: f" [ {' , '.join(map(repr, texts))} ] ",
}


@pytest.mark.parametrize("write", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize(
    "texts", [TEXTS, TEXTS[:1], ["ein Hündchen", "狗"]], ids=["four", "one", "other scripts"]
)
def test_list_in_a_cell_is_its_captions(
    tmp_path: Path, write: Callable[[list[str]], str], texts: list[str]
) -> None:
    content = row(",", "image", "caption") + row(",", "a.jpg", write(texts)) + row(",", "b.jpg", "A cat")
    assert captions(table(tmp_path, content)) == {"a.jpg": texts, "b.jpg": ["A cat"]}


@pytest.mark.parametrize(
    "cell",
    [
        "['a dog', 'a cat'",
        "['a dog', nan]",
        "[1, 2]",
        '[{"raw": "a dog"}]',
        '{"raw": "a dog"}',
        "[a dog, a cat]",
        "['a dog', ['a cat']]",
        "[print('x')]",
    ],
)
def test_what_is_no_list_of_captions_is_refused(tmp_path: Path, cell: str) -> None:
    message = refusal(table(tmp_path, row(",", "image", "caption") + row(",", "a.jpg", cell)))
    assert "x.csv:2: " in message and "is not a caption" in message


def test_list_is_refused_in_every_format(tmp_path: Path) -> None:
    images(tmp_path, "a.jpg")
    text = "['a dog', 'a cat']"
    (tmp_path / "Flickr8k.token.txt").write_text(f"a.jpg#0\t{text}\n")
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("a.jpg\n")
    entry = {"filename": "a.jpg", "split": "train", "sentences": [{"raw": text}]}
    (tmp_path / "k.json").write_text(json.dumps({"images": [entry]}))
    coco = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "caption": text}]}
    (tmp_path / "c.json").write_text(json.dumps(coco))
    for config in (
        Flickr8kConfig(root=str(tmp_path), images="."),
        KarpathyConfig(file=str(tmp_path / "k.json"), images=str(tmp_path)),
        CocoConfig(root=str(tmp_path), train="c.json", train_images="."),
    ):
        assert "is not a caption" in refusal(config)
    (tmp_path / "x.jsonl").write_text(json.dumps({"image": "a.jpg", "caption": text}))
    assert captions(TableConfig(root=str(tmp_path), train="x.jsonl")) == {"a.jpg": ["a dog", "a cat"]}


@pytest.mark.parametrize(
    "text", ["(a dog) runs", '("Stop" says the sign)', "a dog [sic] runs", "A man (left)."]
)
def test_brackets_in_a_sentence_are_text(tmp_path: Path, text: str) -> None:
    assert captions(table(tmp_path, row(",", "image", "caption") + row(",", "a.jpg", text))) == {
        "a.jpg": [text]
    }


def test_several_columns_are_captions_and_some_may_be_empty(tmp_path: Path) -> None:
    lines = [
        ("image", "c 0", "c1", "c2"),
        ("a.jpg", "One", "Two, too", "['Three', 'Four']"),
        ("b.jpg", "", "Five", "nan"),
    ]
    config = table(tmp_path, "".join(row(",", *cells) for cells in lines), caption_column=["c 0", "c1", "c2"])
    assert captions(config) == {"a.jpg": ["One", "Two, too", "Three", "Four"], "b.jpg": ["Five"]}
    config = table(
        tmp_path, row(",", *lines[0]) + row(",", "a.jpg", "", "", "nan"), caption_column=["c 0", "c1"]
    )
    assert "x.csv:2: every caption is empty" in refusal(config)
    (tmp_path / "x.jsonl").write_text('{"image": "a.jpg", "en": "A dog", "de": ["Ein Hund"], "fr": null}')
    more = TableConfig(root=str(tmp_path), train="x.jsonl", caption_column=["en", "de", "fr"])
    assert captions(more) == {"a.jpg": ["A dog", "Ein Hund"]}


@pytest.mark.parametrize("columns", [[], ["c1", "c1"], [1], {"a": 1}, ""])
def test_columns_that_are_none_are_refused(tmp_path: Path, columns: object) -> None:
    assert refusal(table(tmp_path, "image,c1\na.jpg,A\n", caption_column=columns)).startswith(
        "data.caption_column: "
    )


# --- delimiters and quotation marks -----------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "tsv", "txt"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found_whatever_the_ending(tmp_path: Path, delimiter: str, ending: str) -> None:
    cells = [
        ("n", "image", "caption"),
        ("1", "a.jpg", "one; two, three | four\tfive"),
        ("2", "b.jpg", 'a "B"\nc'),
    ]
    content = "\n" + "".join(row(delimiter, *line) for line in cells)
    assert captions(table(tmp_path, content, f"x.{ending}")) == {
        "a.jpg": ["one; two, three | four five"],
        "b.jpg": ['a "B" c'],
    }


def test_bars_with_spaces_and_excels_hint(tmp_path: Path) -> None:
    content = "image| comment_number| caption\na.jpg| 0| A dog .\na.jpg| 1| Two , dogs .\n"
    assert captions(table(tmp_path, content)) == {"a.jpg": ["A dog .", "Two , dogs ."]}
    assert captions(table(tmp_path, "sep=;\nimage;caption\na.jpg;A dog, brown\n")) == {
        "a.jpg": ["A dog, brown"]
    }


DRAWN = {
    "Markdown": """| image | caption |
|:---|---:|
| a.jpg | A dog, brown |
| b.jpg | "Stop" says the sign |""",
    "Markdown without a frame": """image | caption
--- | ---
a.jpg | A dog, brown
b.jpg | "Stop" says the sign""",
    "psql": """   image   |       caption
-----------+----------------------
 a.jpg     | A dog, brown
 b.jpg     | "Stop" says the sign
(2 rows)

""",
    "mysql": """+-------+----------------------+
| image | caption              |
+-------+----------------------+
| a.jpg | A dog, brown         |
| b.jpg | "Stop" says the sign |
+-------+----------------------+
""",
}


@pytest.mark.parametrize("drawn", DRAWN.values(), ids=list(DRAWN))
def test_a_drawn_table_is_read(tmp_path: Path, drawn: str) -> None:
    assert captions(table(tmp_path, drawn, "x.txt")) == {
        "a.jpg": ["A dog, brown"],
        "b.jpg": ['"Stop" says the sign'],
    }


def test_a_row_of_a_drawn_table_is_told_at_its_line(tmp_path: Path) -> None:
    line = refusal(table(tmp_path, DRAWN["mysql"].replace("A dog, brown ", "A dog | brown")))
    assert ":4: has 3 fields, the header 2" in line


TWO = "image{0}caption\na.jpg{0}un café\nb.jpg{0}Hund\n"
WRITTEN: dict[str, bytes] = {
    "Excel's Unicode text": TWO.format("\t").replace("\n", "\r\n").encode("utf-16"),
    "UTF-16, high byte first": b"\xfe\xff" + TWO.format(",").encode("utf-16-be"),
    "two byte order marks": b"\xef\xbb\xbf" + TWO.format(",").encode("utf-8-sig"),
    "a tab as hint": ("sep=\t\r\n" + TWO.format("\t")).encode(),
    "a hint in quotation marks": ('"sep=;"\r\n' + TWO.format(";")).encode(),
    "rows of empty cells": (TWO.format(",") + ',\n"",""\n,').encode(),
}


@pytest.mark.parametrize("content", WRITTEN.values(), ids=WRITTEN)
def test_what_spreadsheets_write_is_read(tmp_path: Path, content: bytes) -> None:
    config = table(tmp_path, "", "x.txt")
    (tmp_path / "x.txt").write_bytes(content)
    assert captions(config) == {"a.jpg": ["un café"], "b.jpg": ["Hund"]}


@pytest.mark.parametrize("content", [b"PK\x03\x04\x14\0\6\0", TWO.encode("utf-16-le"), TWO.encode("cp1252")])
def test_what_is_no_utf_8_is_told(tmp_path: Path, content: bytes) -> None:
    config = table(tmp_path, "", "x.csv")
    (tmp_path / "x.csv").write_bytes(content)
    assert "is not UTF-8 text, save the file as UTF-8" in refusal(config)


@pytest.mark.parametrize("cell", ["\\N", "#NAME?", "#N/A"])
def test_signs_of_a_missing_value_are_no_captions(tmp_path: Path, cell: str) -> None:
    assert "stands for a missing value" in refusal(table(tmp_path, f"image,caption\na.jpg,{cell}\n"))


def test_caption_without_image_name_is_told(tmp_path: Path) -> None:
    config = table(tmp_path, "image,caption\n,A dog\n")
    assert refusal(config).endswith("x.csv:2: the name of the image is empty")


@pytest.mark.parametrize("name", ["re\u0301.jpg", "r\u00e9.jpg", "r\u00e9", "sub\\r\u00e9.jpg", ".\\r\u00e9"])
@pytest.mark.parametrize("there", ["re\u0301.jpg", "r\u00e9.jpg"])
def test_names_of_other_systems_are_found(tmp_path: Path, name: str, there: str) -> None:
    """macOS divides an accent from its letter; Windows divides folders by backslashes."""
    images(tmp_path, there, f"sub/{there}")
    (record,) = load_split(table(tmp_path, f"image,caption\n{name},A dog\n"), "train")
    assert record.source == tmp_path / ("sub" if "sub" in name else "") / there


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (' "Stop" says the sign', '"Stop" says the sign'),
        ('"Go" and "stop" signs', '"Go" and "stop" signs'),
        ('a 5" pipe', 'a 5" pipe'),
        ('"He said ""no"""', 'He said "no"'),
        ('""', None),
    ],
)
def test_quotation_marks_of_a_caption_are_text(tmp_path: Path, cell: str, text: str | None) -> None:
    config = table(tmp_path, f"image,caption\na.jpg,{cell}\n")
    if text is None:
        assert "has no words" in refusal(config)
    else:
        assert captions(config) == {"a.jpg": [text]}


@pytest.mark.parametrize(
    "after",
    [
        "",
        "b.jpg,A cat.\n",
        'b.jpg,"A cat."\n',
        'b.jpg,"A cat.\n',
        'b.jpg,"A ""cat"""\n' * 3,
        'b.jpg,A cat."\n',
    ],
)
def test_quote_left_open_is_told_at_its_line(tmp_path: Path, after: str) -> None:
    content = f'image,caption\nb.jpg,One.\na.jpg,"A dog.\n{after}'
    config = table(tmp_path, content)
    assert "x.csv:3: a quotation mark is opened and never closed" in refusal(config)
    faults: list[CaptionerError] = []
    load_split(config, "train", faults)
    assert "x.csv:3: " in str(faults[0])


def test_row_that_is_cut_short_and_one_that_is_too_long(tmp_path: Path) -> None:
    content = "image| n| caption\na.jpg| 4   A dog runs\nb.jpg| 0| A cat.\n"
    assert "x.csv:2: has 2 fields, the header 3" in refusal(table(tmp_path, content))
    assert captions(table(tmp_path, content, skip_incomplete=True)) == {"b.jpg": ["A cat."]}
    message = refusal(table(tmp_path, "image;caption\na.jpg;One; two\n"))
    assert "(a caption with a semicolon must be in double quotes)" in message


@pytest.mark.parametrize("name", ["x.parquet", "x.xls", "x", "x.csv.gz"])
def test_other_endings_are_told_without_a_guess(tmp_path: Path, name: str) -> None:
    message = refusal(table(tmp_path, "image,caption\n", name))
    assert ".csv, .tsv, .txt, .jsonl" in message and "did you mean" not in message


def test_json_may_be_a_list_lines_or_anothers_format(tmp_path: Path) -> None:
    rows = [{"image": "a.jpg", "caption": "A dog"}, {"image": "b.jpg", "caption": ["A cat", "Two"]}]
    wanted = {"a.jpg": ["A dog"], "b.jpg": ["A cat", "Two"]}
    assert captions(table(tmp_path, json.dumps(rows, indent=1), "x.json")) == wanted
    assert captions(table(tmp_path, "\n".join(map(json.dumps, rows)), "x.json")) == wanted
    assert "data=coco reads" in refusal(table(tmp_path, '{"images": [], "annotations": []}', "x.json"))
    assert "data=karpathy reads" in refusal(table(tmp_path, '{"dataset": "x", "images": []}', "x.json"))
    assert "x.json: [1]" in refusal(table(tmp_path, json.dumps([rows[0], 3]), "x.json"))


# --- splits by seed -----------------------------------------------------------------------------------


def shared(folder: Path, **more: object) -> TableConfig:
    names = [f"{i}.jpg" for i in range(40)]
    images(folder, *names)
    rows = "".join(f"{name},Caption {i}\n" for i in range(3) for name in names)
    return table(folder, "image,caption\n" + rows, **more)


@pytest.mark.parametrize(
    ("val", "test", "sizes"), [(0.1, 0.0, (36, 4, 0)), (0.25, 0.1, (26, 10, 4)), (0.01, 0.5, (19, 1, 20))]
)
def test_images_are_divided_by_seed(tmp_path: Path, val: float, test: float, sizes: tuple[int, ...]) -> None:
    def drawn(seed: int) -> dict[str, dict[str, list[str]]]:
        config = shared(tmp_path, val_share=val, test_share=test, split_seed=seed)
        return {split: captions(config, split) for split in ("train", "val", "test")[: 3 if test else 2]}

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert first == again and first["val"].keys() != other["val"].keys()
    assert tuple(len(of) for of in first.values()) == sizes[: len(first)]
    together = [name for of in first.values() for name in of]
    assert len(set(together)) == len(together) == 40
    assert all(len(texts) == 3 for of in first.values() for texts in of.values())


def test_more_test_images_leave_the_validation_images_as_they_are(tmp_path: Path) -> None:
    plain = captions(shared(tmp_path, val_share=0.2), "val")
    assert captions(shared(tmp_path, val_share=0.2, test_share=0.3), "val") == plain
    assert captions(shared(tmp_path, holdout=0.2), "val") == plain  # as it was called before


def test_division_is_told(tmp_path: Path) -> None:
    notes: list[str] = []
    load_split(shared(tmp_path, val_share=0.1, split_seed=5), "train", notes=notes)
    assert notes == ["x.csv: images divided by data.split_seed=5 data.val_share=0.1 into 36 train, 4 val"]
    assert "leave nothing to train on" in refusal(shared(tmp_path, val_share=0.6, test_share=0.4))


# --- Flickr8k's form ------------------------------------------------------------------------------------


def kaggle(folder: Path, header: str = "image,caption") -> Flickr8kConfig:
    names = [f"{i}.jpg" for i in range(20)]
    images(folder / "Images", *names)
    lines = "".join(row(",", name, text) for name in names for text in TEXTS)
    (folder / "captions.txt").write_text(f"{header}\n{lines}")
    return Flickr8kConfig(root=str(folder))


def test_kaggles_folder_is_divided(tmp_path: Path) -> None:
    config, notes = kaggle(tmp_path), list[str]()
    splits = [captions(config, split) for split in ("train", "val", "test")]
    assert [len(of) for of in splits] == [16, 2, 2]
    assert all(texts == TEXTS for of in splits for texts in of.values())
    load_split(config, "train", notes=notes)
    (note,) = notes
    assert "data.split_seed=0 data.val_share=0.1 data.test_share=0.1 into 16 train, 2 val, 2 test" in note


def test_kaggles_folder_with_lists_follows_them(tmp_path: Path) -> None:
    config = kaggle(tmp_path)
    (tmp_path / "mine.txt").write_text("3\n4.jpg\n")  # with and without the ending
    config.val = "mine.txt"
    assert list(captions(config, "val")) == ["3.jpg", "4.jpg"]
    assert "data.train: no list of images is named" in refusal(config, "train")
    config.train = "none.txt"
    assert refusal(config, "train") == f"data.train: there is no file {tmp_path / 'none.txt'}"


@pytest.mark.parametrize(
    "key",
    [
        "a.jpg#0\t",
        "a.jpg#zhb#0\t",
        "a.jpg#enc#12\t",
        "a.jpg#de-DE#3\t",
        "a.jpg#zhc#0 ",
        "a#1\t",
        "a.jpg#0 \t",
    ],
)
def test_keys_of_other_languages_and_without_ending(tmp_path: Path, key: str) -> None:
    images(tmp_path, "a.jpg", "odd#name.jpg")
    (tmp_path / "tokens.txt").write_text(f"{key}一 只 狗\nodd#name.jpg#0\tA cat\n", encoding="utf-8")
    (tmp_path / "list.txt").write_text("a\nodd#name\n")
    config = Flickr8kConfig(root=str(tmp_path), images=".", captions="tokens.txt", train="list.txt")
    records = load_split(config, "train")
    assert [record.captions for record in records] == [("一 只 狗",), ("A cat",)]
    assert [record.source for record in records] == [tmp_path / "a.jpg", tmp_path / "odd#name.jpg"]


def test_folder_without_captions_names_what_it_looked_for(tmp_path: Path) -> None:
    images(tmp_path / "Images", "a.jpg")
    assert "data.captions: name the caption file" in refusal(Flickr8kConfig(root=str(tmp_path)))


# --- VizWiz, and data of which a part is missing ------------------------------------------------------


def vizwiz(folder: Path, **more: bool) -> CocoConfig:
    images(folder, "a.jpg", "b.jpg", "c.jpg")
    listed = [{"id": i, "file_name": f"{name}.jpg"} for i, name in enumerate("abc")]
    bad = "Quality issues are too severe to recognize visual content."
    marked = [(0, "A dog", False), (0, bad, True), (1, bad, True), (1, bad, True), (2, "A cat", False)]
    written = [
        {"image_id": i, "caption": text, "is_rejected": no, "is_precanned": no} for i, text, no in marked
    ]
    (folder / "x.json").write_text(json.dumps({"images": listed, "annotations": written}))
    return CocoConfig(root=str(folder), train="x.json", train_images=".", **more)


def test_rejected_captions_are_left_out_and_told(tmp_path: Path) -> None:
    notes: list[str] = []
    records = load_split(vizwiz(tmp_path), "train", notes=notes)
    assert {r.image_id: r.captions for r in records} == {0: ("A dog",), 2: ("A cat",)}
    assert notes[0].endswith(
        "left out 3 rejected captions, and 1 images that have no other (data.rejected=true keeps them)"
    )
    assert [len(r.captions) for r in load_split(vizwiz(tmp_path, rejected=True), "train", notes=notes)] == [
        2,
        2,
        1,
    ]
    assert len(notes) == 1


def lacking_flickr(folder: Path) -> Flickr8kConfig:
    kaggle(folder)
    (folder / "list.txt").write_text("0.jpg\n1.jpg\n2.jpg\nnone.jpg\n")
    (folder / "Images" / "1.jpg").unlink()
    return Flickr8kConfig(root=str(folder), train="list.txt")  # one without file, one without caption


def lacking_karpathy(folder: Path) -> KarpathyConfig:
    images(folder, "a.jpg", "b.jpg", "d.jpg")
    texts = {"a": ["One", " "], "b": [], "c": ["Three"], "d": ["Four"]}
    listed = [
        {"filename": f"{name}.jpg", "split": "train", "sentences": [{"raw": text} for text in of]}
        for name, of in texts.items()
    ]
    (folder / "x.json").write_text(json.dumps({"images": listed}))
    return KarpathyConfig(file=str(folder / "x.json"), images=str(folder))


def lacking_coco(folder: Path) -> CocoConfig:
    config = vizwiz(folder, rejected=True)
    content = json.loads((folder / "x.json").read_text())
    content["annotations"] += [{"image_id": 9, "caption": "Nobody's"}]
    content["images"] += [{"id": 5, "file_name": "a.jpg"}]
    (folder / "x.json").write_text(json.dumps(content))
    (folder / "c.jpg").unlink()
    return config


def lacking_table(folder: Path) -> TableConfig:
    return table(folder, "image,caption\na.jpg,One\nb.jpg,\nnone.jpg,Two\na.jpg,NaN\nb.jpg,Three\n")


@pytest.mark.parametrize(
    ("make", "kept", "left_out"),
    [
        (lacking_flickr, ["0.jpg", "2.jpg"], "1 missing image files, 1 images without caption"),
        (
            lacking_karpathy,
            ["a.jpg", "d.jpg"],
            "1 empty captions, 1 images without caption, 1 missing image files",
        ),
        (
            lacking_coco,
            ["0", "1"],
            "1 captions without image, 1 missing image files, 1 images without caption",
        ),
        (lacking_table, ["a.jpg", "b.jpg"], "2 empty captions, 1 missing image files"),
    ],
)
def test_what_is_missing_is_left_out_and_counted(
    tmp_path: Path, make: Callable[[Path], DataConfig], kept: list[str], left_out: str
) -> None:
    config, notes = make(tmp_path), list[str]()
    refusal(config)
    config.skip_incomplete = True  # type: ignore[attr-defined]
    records = load_split(config, "train", notes=notes)
    assert [str(record.image_id) for record in records] == kept
    assert notes == [f"data.skip_incomplete: left out of the train split: {left_out}"]


def test_what_cannot_be_decoded_is_left_out_and_counted(tmp_path: Path) -> None:
    """An empty file, a page of HTML, and a download that broke off."""
    rows = "".join(f"{name}.jpg,One\n" for name in "abcd")
    config, notes = table(tmp_path, f"image,caption\n{rows}", skip_incomplete=True), list[str]()
    (tmp_path / "b.jpg").write_bytes(b"")
    (tmp_path / "c.jpg").write_text("<html>")
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(whole, "JPEG")
    (tmp_path / "d.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    assert [record.image_id for record in load_split(config, "train", notes=notes)] == ["a.jpg"]
    assert notes == ["data.skip_incomplete: left out of the train split: 3 unreadable images"]


@pytest.mark.parametrize(
    "content", ["image,caption\na.jpg,One,two\nb.jpg,B\n", 'image,caption\na.jpg,"One\nb.jpg,B\n']
)
def test_what_is_malformed_is_not_skipped(tmp_path: Path, content: str) -> None:
    assert "x.csv:2: " in refusal(table(tmp_path, content, skip_incomplete=True))


def test_nothing_left_is_told(tmp_path: Path) -> None:
    message = refusal(table(tmp_path, "image,caption\nnone.jpg,One\n", skip_incomplete=True))
    assert message.startswith("data.skip_incomplete: nothing is left of the train split (")
    assert "skip_incomplete=true" in refusal(table(tmp_path, "image,caption\nnone.jpg,One\n"))  # as suggested
