"""The embedding started from a file of word vectors: GloVe's and word2vec's, frozen or trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import tiny

from captioner.checkpoint.file import load_checkpoint
from captioner.config.schema import TrainConfig
from captioner.errors import CaptionerError
from captioner.training.loop import train
from captioner.training.setup import Setup, prepare

CPU = torch.device("cpu")
RED, BLUE, OF_CAPITALS = [0.5] * 16, [-0.25] * 16, [0.125] * 16


def line(word: str, vector: list[float]) -> str:
    return " ".join([word, *map(str, vector)]) + "\n"


GLOVE = line("red", RED) + line(". . .", RED) + line("blue", BLUE) + line("Circle", OF_CAPITALS)
WORD2VEC = "4 16\n" + GLOVE


def started(folder: Path, text: str | bytes, **decoder: object) -> Setup:
    return prepare(configured(folder, text, **decoder), CPU)


def configured(folder: Path, text: str | bytes, **decoder: object) -> TrainConfig:
    file = folder / "vectors.txt"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    config = tiny.config(folder)
    return replace(config, decoder=replace(config.decoder, embedding=str(file), **decoder))


@pytest.mark.parametrize("text", [GLOVE, WORD2VEC], ids=["glove", "word2vec"])
def test_words_that_the_file_has_start_from_it_and_the_others_as_ever(tmp_path: Path, text: str) -> None:
    torch.manual_seed(0)
    plain = prepare(tiny.config(tmp_path), CPU)
    torch.manual_seed(0)
    setup = started(tmp_path, text)
    index, found = setup.vocabulary.index, setup.model.state_dict()
    given = {index["red"]: RED, index["blue"]: BLUE, index["circle"]: OF_CAPITALS}
    for name, weight in plain.model.state_dict().items():
        expected = weight.clone()
        if name == "decoder.embedding.weight":
            for row, vector in given.items():
                expected[row] = torch.tensor(vector)
        assert torch.equal(found[name], expected)
    words = [w for r in tiny.records("train") for c in r.captions for w in c.lower().rstrip(".").split()]
    share = sum(word in ("red", "blue", "circle") for word in words) / len(words)
    known = len(setup.vocabulary) - 4
    assert f"3 of {known} words ({300 / known:.1f} %, and {100 * share:.1f} % of the captions" in setup.told


@pytest.mark.parametrize("frozen", [True, False])
def test_the_model_needs_the_file_no_more(tmp_path: Path, frozen: bool) -> None:
    config = configured(tmp_path, GLOVE, freeze_embedding=frozen)
    train(config, tmp_path / "run", report=tiny.silent)
    (tmp_path / "vectors.txt").unlink()
    checkpoint = load_checkpoint(tmp_path / "run")
    row = checkpoint.model.decoder.embedding.weight[checkpoint.vocabulary.index["red"]]
    assert torch.equal(row, torch.tensor(RED)) is frozen
    config.training.epochs = 2
    resumed = train(config, tmp_path / "run", True, report=tiny.silent)
    assert resumed.model.decoder.embedding.weight.requires_grad is not frozen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (line("red", [0.5] * 8), "vectors of 8 numbers, and decoder.embedding_size is 16; give .*=8"),
        ("3 8\n" + line("red", [0.5] * 8), "vectors of 8 numbers"),
        (GLOVE + "green 1 2\n", "vectors.txt:5: has 2 numbers, not 16"),
        (line("red", RED).replace("0.5", "half"), "vectors.txt:1: is not a word and numbers"),
        (line("red", [float("nan")] * 16), "vectors.txt:1: a number is not finite"),
        ("", "is empty"),
        ("words\n", "is not word vectors as text"),
        (b"2 16\nred \x00\x00\x00\x00", "is not word vectors as text"),
    ],
)
def test_what_is_no_word_vectors_is_told_in_a_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(CaptionerError, match=said):
        started(tmp_path, text)


def test_missing_file_is_named(tmp_path: Path) -> None:
    config = configured(tmp_path, GLOVE)
    config.decoder.embedding = str(tmp_path / "none.txt")
    with pytest.raises(CaptionerError, match=r"decoder\.embedding: there is no file .*none\.txt"):
        prepare(config, CPU)
