"""Caption files -> records, against what was written into the files by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from captioner.config.data import CocoConfig, DataConfig, Flickr8kConfig, KarpathyConfig, TableConfig
from captioner.data.load import load_split
from captioner.data.records import Record
from captioner.errors import CaptionerError


def put_images(folder: Path, names: Iterable[str]) -> None:
    """Empty files will do: loading must not open them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def refusal(config: DataConfig, split: str = "train") -> str:
    """The one line with which a split is refused."""
    with pytest.raises(CaptionerError) as caught:
        load_split(config, split)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_unknown_split_names_the_choices(tmp_path: Path) -> None:
    assert "train, val, dev, test" in refusal(TableConfig(root=str(tmp_path)), "trian")


def test_unknown_format_names_the_choices() -> None:
    message = refusal(DataConfig(name="flickr9k"))
    assert "data.name" in message and "did you mean flickr8k?" in message


# --- flickr8k -------------------------------------------------------------------------------------


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    put_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg"])
    (tmp_path / "Flickr8k.token.txt").write_text(
        "a.jpg#0\tA dog .\na.jpg#1\tThe dog runs .\nb.jpg#0\tTwo cats .\nc.jpg#0\tA café .\n",
        encoding="utf-8",
    )
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("b.jpg\na.jpg\n")
    (tmp_path / "Flickr_8k.devImages.txt").write_text("c.jpg\n\n")
    return tmp_path


def test_flickr8k_follows_its_list(flickr: Path) -> None:
    assert load_split(Flickr8kConfig(root=str(flickr)), "train") == [
        Record("b.jpg", flickr / "images" / "b.jpg", ("Two cats .",)),
        Record("a.jpg", flickr / "images" / "a.jpg", ("A dog .", "The dog runs .")),
    ]


@pytest.mark.parametrize("split", ["val", "dev"])
def test_dev_is_another_name_of_val(flickr: Path, split: str) -> None:
    (record,) = load_split(Flickr8kConfig(root=str(flickr)), split)
    assert record.captions == ("A café .",)


@pytest.mark.parametrize("folder", ["Images", "Flicker8k_Dataset", "Flickr8k_Dataset"])
def test_flickr8k_finds_its_image_folder(flickr: Path, folder: str) -> None:
    (flickr / "images").rename(flickr / folder)
    (record,) = load_split(Flickr8kConfig(root=str(flickr)), "val")
    assert isinstance(record.source, Path) and record.source.samefile(flickr / folder / "c.jpg")


def test_flickr8k_takes_a_named_image_folder(flickr: Path) -> None:
    (flickr / "images").rename(flickr / "photos")
    (record,) = load_split(Flickr8kConfig(root=str(flickr), images="photos"), "val")
    assert record.source == flickr / "photos" / "c.jpg"


def test_flickr8k_without_image_folder(flickr: Path) -> None:
    (flickr / "images").rename(flickr / "photos")
    message = refusal(Flickr8kConfig(root=str(flickr)))
    assert "data.images" in message and "Flicker8k_Dataset" in message


def test_flickr8k_missing_split_names_those_there(flickr: Path) -> None:
    message = refusal(Flickr8kConfig(root=str(flickr)), "test")
    assert "data.test" in message and message.endswith("splits there: train, val")


def test_flickr8k_missing_root(tmp_path: Path) -> None:
    root = tmp_path / "nowhere"
    assert refusal(Flickr8kConfig(root=str(root))) == f"data.root: there is no folder {root}"


def test_flickr8k_image_without_caption(flickr: Path) -> None:
    (flickr / "Flickr_8k.trainImages.txt").write_text("a.jpg\nd.jpg\n")
    message = refusal(Flickr8kConfig(root=str(flickr)))
    assert "trainImages.txt:2: the image d.jpg has no caption" in message


def test_flickr8k_missing_image_file(flickr: Path) -> None:
    (flickr / "images" / "a.jpg").unlink()
    message = refusal(Flickr8kConfig(root=str(flickr)))
    assert "trainImages.txt:2" in message and "a.jpg" in message and "data.images" in message


def test_flickr8k_missing_image_of_another_split_is_no_matter(flickr: Path) -> None:
    (flickr / "images" / "a.jpg").unlink()
    assert len(load_split(Flickr8kConfig(root=str(flickr)), "val")) == 1


def test_flickr8k_image_listed_twice(flickr: Path) -> None:
    (flickr / "Flickr_8k.trainImages.txt").write_text("a.jpg\nb.jpg\na.jpg\n")
    assert "trainImages.txt:3: the image a.jpg" in refusal(Flickr8kConfig(root=str(flickr)))


def test_flickr8k_empty_list(flickr: Path) -> None:
    (flickr / "Flickr_8k.trainImages.txt").write_text("\n")
    assert refusal(Flickr8kConfig(root=str(flickr))).endswith("names no image")


@pytest.mark.parametrize("line", ["a.jpg A dog .", "a.jpg\tA dog .", "a.jpg#0\t .", "a.jpg#x\tA dog ."])
def test_flickr8k_malformed_caption_line(flickr: Path, line: str) -> None:
    (flickr / "Flickr8k.token.txt").write_text(f"b.jpg#0\tTwo cats .\n{line}\n")
    assert "Flickr8k.token.txt:2: " in refusal(Flickr8kConfig(root=str(flickr)))


@pytest.mark.skipif("CAPTIONER_FLICKR8K" not in os.environ, reason="CAPTIONER_FLICKR8K is not set")
def test_real_flickr8k() -> None:
    config = Flickr8kConfig(root=os.environ["CAPTIONER_FLICKR8K"])
    train, val = load_split(config, "train"), load_split(config, "val")
    assert (len(train), len(val)) == (6000, 1000)
    assert all(len(record.captions) == 5 for record in train + val)
    assert not {record.image_id for record in train} & {record.image_id for record in val}


# --- karpathy -------------------------------------------------------------------------------------


def karpathy(folder: Path, images: object, restval: bool = True) -> KarpathyConfig:
    file = folder / "dataset_x.json"
    file.write_text(json.dumps({"dataset": "x", "images": images}))
    return KarpathyConfig(file=str(file), images=str(folder), restval=restval)


def karpathy_image(name: str, split: str, **more: object) -> dict[str, object]:
    return {"filename": name, "split": split, "sentences": [{"raw": f"It is {name}."}], **more}


def test_karpathy_uses_file_names_as_ids(tmp_path: Path) -> None:
    put_images(tmp_path, ["a.jpg", "b.jpg"])
    images = [karpathy_image("a.jpg", "val", imgid=7), karpathy_image("b.jpg", "train")]
    assert load_split(karpathy(tmp_path, images), "val") == [
        Record("a.jpg", tmp_path / "a.jpg", ("It is a.jpg.",))
    ]


def test_karpathy_coco_has_subfolders_and_ids(tmp_path: Path) -> None:
    put_images(tmp_path / "val2014", ["a.jpg"])
    image = karpathy_image("a.jpg", "test", filepath="val2014", cocoid=42)
    assert load_split(karpathy(tmp_path, [image]), "test") == [
        Record(42, tmp_path / "val2014" / "a.jpg", ("It is a.jpg.",))
    ]


@pytest.mark.parametrize(("restval", "names"), [(True, ["a.jpg", "b.jpg"]), (False, ["a.jpg"])])
def test_karpathy_restval(tmp_path: Path, restval: bool, names: list[str]) -> None:
    put_images(tmp_path, ["a.jpg", "b.jpg"])
    images = [karpathy_image("a.jpg", "train"), karpathy_image("b.jpg", "restval")]
    records = load_split(karpathy(tmp_path, images, restval), "train")
    assert [record.image_id for record in records] == names


def test_karpathy_missing_split_names_those_there(tmp_path: Path) -> None:
    put_images(tmp_path, ["a.jpg"])
    message = refusal(karpathy(tmp_path, [karpathy_image("a.jpg", "train")]), "test")
    assert "data.file" in message and message.endswith("no split 'test'; splits there: train")


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        ({}, "'images' must be a list, not {}"),
        (["a.jpg"], "images[0]: must be an object, not 'a.jpg'"),
        ([{"filename": "a.jpg"}], "images[0]: has no 'split', only filename"),
        ([karpathy_image("a.jpg", "train", filename=3)], "'filename' must be a string, not 3"),
        (
            [karpathy_image("a.jpg", "train", cocoid="3")],
            "'cocoid' must be a whole number, not '3'",
        ),
        ([karpathy_image("a.jpg", "train", sentences=[])], "the image a.jpg has no caption"),
        (
            [karpathy_image("a.jpg", "train", sentences=[{"raw": "A."}, {"raw": " "}])],
            "images[0].sentences[1]: the caption ' ' has no words",
        ),
        ([karpathy_image("b.jpg", "train")], "images[0]: there is no image file"),
        (
            [karpathy_image("a.jpg", "train")] * 2,
            "images[1]: the image a.jpg is in the file twice",
        ),
    ],
)
def test_karpathy_malformed(tmp_path: Path, images: object, complaint: str) -> None:
    put_images(tmp_path, ["a.jpg"])
    assert complaint in refusal(karpathy(tmp_path, images))


def test_karpathy_invalid_json_names_the_line(tmp_path: Path) -> None:
    config = karpathy(tmp_path, [])
    Path(config.file).write_text('{"images":\n [}')
    message = refusal(config)
    assert "dataset_x.json: is not valid JSON" in message and "line 2 column 3" in message


def test_karpathy_missing_file(tmp_path: Path) -> None:
    config = KarpathyConfig(file=str(tmp_path / "x.json"), images=str(tmp_path))
    assert refusal(config) == f"data.file: there is no file {tmp_path / 'x.json'}"


# --- coco -----------------------------------------------------------------------------------------


def coco(folder: Path, images: object, annotations: object) -> CocoConfig:
    (folder / "train.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    put_images(folder / "photos", ["a.jpg", "b.jpg"])
    return CocoConfig(root=str(folder), train="train.json", train_images="photos")


def caption(image_id: object, text: object = "A dog.") -> dict[str, object]:
    return {"image_id": image_id, "caption": text}


A, B = {"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}


def test_coco_joins_images_and_annotations(tmp_path: Path) -> None:
    annotations = [caption(1, "One. \n"), caption(2, "Two."), caption(1, "Three.")]
    assert load_split(coco(tmp_path, [B, A], annotations), "train") == [
        Record(2, tmp_path / "photos" / "b.jpg", ("Two.",)),
        Record(1, tmp_path / "photos" / "a.jpg", ("One.", "Three.")),
    ]


@pytest.mark.parametrize(
    ("images", "annotations", "complaint"),
    [
        ([A, B], [caption(1)], "images[1]: the image b.jpg has no caption"),
        ([A], [caption(1), caption(3)], "annotations[1]: 'images' has no image with id 3"),
        ([A, A], [caption(1)], "images[1]: the image id 1 is in the file twice"),
        ([A], [caption(1, "")], "annotations[0]: the caption '' has no words"),
        ([A], [caption(1, None)], "'caption' must be a string, not None"),
        ([A], [caption(True)], "'image_id' must be a whole number or a string, not True"),
        ([{"id": 1, "file_name": "c.jpg"}], [caption(1)], "images[0]: there is no image file"),
        ([], [], "'images' is empty"),
    ],
)
def test_coco_malformed(tmp_path: Path, images: object, annotations: object, complaint: str) -> None:
    assert complaint in refusal(coco(tmp_path, images, annotations))


def test_coco_split_without_file_names_the_others(tmp_path: Path) -> None:
    message = refusal(CocoConfig(root=str(tmp_path)), "test")
    assert message == "data.test: no file is set; splits that have one: train, val"


def test_coco_split_without_image_folder(tmp_path: Path) -> None:
    message = refusal(CocoConfig(root=str(tmp_path), test="test.json"), "test")
    assert message.startswith("data.test_images: ")


# --- table ----------------------------------------------------------------------------------------


def table(folder: Path, name: str, content: str | bytes, **more: str) -> TableConfig:
    raw = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(raw)
    put_images(folder, ["a.jpg", "sub/b.jpg"])
    return TableConfig(root=str(folder), train=name, **more)


def two_images(folder: Path) -> list[Record]:
    return [
        Record("sub/b.jpg", folder / "sub" / "b.jpg", ("A dog, running.", "Ein Hündchen.")),
        Record("a.jpg", folder / "a.jpg", ("A cat.",)),
    ]


def test_csv_gathers_the_rows_of_an_image(tmp_path: Path) -> None:
    text = 'image,caption\nsub/b.jpg,"A dog, running."\na.jpg,A cat.\n./sub/b.jpg,Ein Hündchen.\n'
    assert load_split(table(tmp_path, "x.csv", text), "train") == two_images(tmp_path)


def test_csv_from_a_spreadsheet_has_bom_crlf_and_more_columns(tmp_path: Path) -> None:
    text = (
        "\ufeffcaption,n,image\r\n"
        '"A dog, running.",1,sub/b.jpg\r\nA cat.,2,a.jpg\r\n\r\nEin Hündchen.,3,sub/b.jpg\r\n'
    )
    assert load_split(table(tmp_path, "x.csv", text), "train") == two_images(tmp_path)


def test_jsonl_caption_may_be_a_list(tmp_path: Path) -> None:
    text = (
        '{"image": "sub/b.jpg", "caption": ["A dog, running.", "Ein Hündchen."]}\n'
        '{"image": "a.jpg", "caption": "A cat."}'
    )
    assert load_split(table(tmp_path, "x.jsonl", text), "train") == two_images(tmp_path)


def test_table_columns_can_be_named(tmp_path: Path) -> None:
    config = table(tmp_path, "x.csv", "file,text\na.jpg,A cat.\n", image_column="file", caption_column="text")
    assert load_split(config, "train") == [Record("a.jpg", tmp_path / "a.jpg", ("A cat.",))]


def test_table_may_be_given_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_images(tmp_path / "photos", ["a.jpg"])
    (tmp_path / "x.csv").write_text("image,caption\na.jpg,A cat.\n")
    monkeypatch.chdir(tmp_path)
    assert len(load_split(TableConfig(root="photos", train="x.csv"), "train")) == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            "file,caption\n",
            "x.csv:1: has no column 'image' (data.image_column); columns there: file",
        ),
        ("image,caption\na.jpg,A dog, running.\n", "x.csv:2: has 3 fields, the header 2"),
        ("image,caption\na.jpg,A cat.\na.jpg,\n", "x.csv:3: the caption '' has no words"),
        ("image,caption\nc.jpg,A cat.\n", "x.csv:2: there is no image file"),
        ('image,caption\na.jpg,"A cat.\n', "x.csv:2: a quotation mark is opened and never closed"),
        ("image,caption\n", "holds no row"),
        (b"image,caption\na.jpg,caf\xe9\n", "x.csv:2: is not UTF-8 text"),
    ],
)
def test_csv_malformed(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    assert complaint in refusal(table(tmp_path, "x.csv", content))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "x.jsonl:2: is not valid JSON"),
        ("[1]", "must be an object, not [1]"),
        ('{"file": "a.jpg"}', "x.jsonl:2 (data.image_column): has no 'image', only file"),
        ('{"image": "a.jpg", "caption": 3}', "'caption' must be a string or a list, not 3"),
        ('{"image": "a.jpg", "caption": [3]}', "x.jsonl:2: a caption in the list is not a string"),
        ('{"image": "a.jpg", "caption": []}', "x.jsonl:2: the list of captions is empty"),
        ('{"image": "c.jpg", "caption": "A."}', "x.jsonl:2: there is no image file"),
    ],
)
def test_jsonl_malformed(tmp_path: Path, line: str, complaint: str) -> None:
    good = '{"image": "a.jpg", "caption": "A cat."}\n'
    assert complaint in refusal(table(tmp_path, "x.jsonl", good + line))


def test_table_of_unknown_kind_names_the_kinds(tmp_path: Path) -> None:
    message = refusal(table(tmp_path, "x.xlsx", ""))
    assert "data.train" in message and "x.xlsx ends in none of .csv, .tsv, .txt, .jsonl" in message


def test_table_split_without_file_names_the_others(tmp_path: Path) -> None:
    message = refusal(TableConfig(root=str(tmp_path), train="x.csv"), "test")
    assert message.startswith("data.test: no file is set; give one, or data.test_share=0.1 ")


@pytest.mark.parametrize(("images", "held_out"), [(1, 0), (2, 1), (40, 4)])
def test_table_without_validation_file_holds_images_out(tmp_path: Path, images: int, held_out: int) -> None:
    names = [f"{i}.jpg" for i in range(images)]
    for name in names:
        (tmp_path / name).touch()
    rows = "".join(f"{name},A cat.\n{name},Cats.\n" for name in names)
    (tmp_path / "x.csv").write_text("image,caption\n" + rows)
    config = TableConfig(root=str(tmp_path), train="x.csv", holdout=0.1)
    train = [record.image_id for record in load_split(config, "train")]
    if held_out:
        val = [record.image_id for record in load_split(config, "val")]
        assert len(val) == held_out and sorted(train + val) == sorted(names)
        rows = "".join(sorted(rows.splitlines(keepends=True), reverse=True))
        (tmp_path / "x.csv").write_text("image,caption\n" + rows)
        assert {record.image_id for record in load_split(config, "val")} == set(val)
    else:
        assert train == names


def test_table_missing_file(tmp_path: Path) -> None:
    message = refusal(TableConfig(root=str(tmp_path), train="x.csv"))
    assert message.startswith("data.train: ") and str(tmp_path / "x.csv") in message
