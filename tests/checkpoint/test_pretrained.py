"""Which model is taken where none is named, files of half precision, and what is told of a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from support import tiny

import captioner
from captioner.checkpoint.file import LARGE, load_checkpoint, save_checkpoint
from captioner.checkpoint.pretrained import default_checkpoint, model_path
from captioner.cli.main import main
from captioner.errors import CaptionerError


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        assert ended.value.code == 0
        return capsys.readouterr().out

    return run


def test_half_precision_is_half_the_size_and_float32_when_read(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny.model_file())
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    save_checkpoint(checkpoint, whole)
    save_checkpoint(checkpoint, half, half=True)
    weights = sum(p.numel() for p in checkpoint.model.state_dict().values() if p.numel() >= LARGE)
    assert abs(whole.stat().st_size - half.stat().st_size - 2 * weights) < 2**12 < weights
    read = load_checkpoint(half).model.state_dict()
    for key, weight in checkpoint.model.state_dict().items():
        assert read[key].dtype == weight.dtype
        torch.testing.assert_close(read[key], weight, rtol=2**-11, atol=1e-7)


def test_bit_flip_in_half_precision_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_checkpoint(load_checkpoint(tiny.model_file()), path, half=True)
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)
    with pytest.raises(CaptionerError, match="checksum is wrong"):
        load_checkpoint(path)


def test_variable_names_the_model_that_is_taken_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTIONER_CHECKPOINT", str(tiny.model_file()))
    assert default_checkpoint() == str(tiny.model_file())
    record = tiny.records()[0]
    photo = record.source()  # type: ignore[operator]
    taken, named = captioner.load(device="cpu"), captioner.load(tiny.model_file(), "cpu")
    assert taken.caption(photo).log_prob == named.caption(photo).log_prob


def test_without_it_that_is_the_package_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPTIONER_CHECKPOINT", raising=False)
    assert default_checkpoint() == "pretrained"
    assert Path(captioner.__file__).parent in model_path("pretrained").parents


def test_own_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").mkdir()
    assert model_path("pretrained") == Path("pretrained")


def test_model_is_described(run: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    run("average", tiny.model_file(), "--half", "--notice", "Made of shapes.\x1b[31m", "--output", path)
    facts = json.loads(run("info", path, "--json"))
    checkpoint = load_checkpoint(path)
    assert facts["sha256"] == checkpoint.digest and facts["notice"] == "Made of shapes.[31m"
    assert facts["vocabulary"]["words"] == list(checkpoint.vocabulary.words[4:])
    assert sum(facts["parameters"].values()) == sum(p.numel() for p in checkpoint.model.parameters())
    told = run("info", path)
    assert "Made of shapes." in told and checkpoint.digest in told and "lstm" in told


def test_package_s_model_captions_real_photos(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAPTIONER_CHECKPOINT", raising=False)
    folder = Path(captioner.__file__).parent / "web" / "photos"
    assert model_path("pretrained").stat().st_size <= 25 * 10**6
    lines = run("caption", folder / "camera.jpg", folder / "rocket.jpg", "--device", "cpu").splitlines()
    assert len(lines) == 2 and "man" in lines[0].split() and "sunset" in lines[1].split()
    predictor = captioner.load(device="cpu")
    noise = Image.effect_noise((300, 300), 90).convert("RGB")
    assert predictor.caption(noise).unfamiliar and not predictor.caption(noise, strategy="sample").unfamiliar
    checkpoint = load_checkpoint("pretrained")
    assert checkpoint.scores["CIDEr"] > 0.6 and checkpoint.protocol.startswith("flickr8k dev: 1000 images")
    assert "non-commercial" in checkpoint.notice and checkpoint.unfamiliar is not None


def test_scores_and_threshold_are_kept(run: Callable[..., str], tmp_path: Path) -> None:
    scores = {"scores": {"CIDEr": 0.5}, "protocol": {"data": "scenes", "split": "val", "images": 8}}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    path = tmp_path / "model.safetensors"
    arguments = [
        "average",
        str(tiny.model_file()),
        "--half",
        "--scores",
        str(tmp_path),
        "--output",
        str(path),
    ]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and not path.exists()  # the protocol lacks the search
    scores["protocol"] |= {"references": 40, "search": {"strategy": "greedy"}}  # type: ignore[operator]
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    run(*arguments, "--unfamiliar", "0")
    facts = json.loads(run("info", path, "--json"))
    assert facts["scores"] == {"CIDEr": 0.5} and facts["unfamiliar"] == 0 and facts["grounding"] == {}
    assert facts["protocol"] == "scenes val: 8 images, 40 references, greedy"
    records = run(
        "caption", tiny_photo(tmp_path), "--checkpoint", path, "--format", "jsonl", "--device", "cpu"
    )
    assert json.loads(records)["unfamiliar"] is True  # as every caption is below 0


def test_figures_of_the_maps_are_kept_and_told(run: Callable[..., str], tmp_path: Path) -> None:
    protocol = {
        "data": "scenes",
        "split": "val",
        "images": 8,
        "references": 40,
        "search": {"strategy": "greedy"},
    }
    field = {"own_cell": 0.1, "cell": 0.02, "half": 0.4, "most": 0.9, "images": 8}
    summary = {"scores": {}, "protocol": protocol, "grounding": {"mosaics": None, "field": field}}
    measured, again, plain = (tmp_path / f"{name}.safetensors" for name in ("measured", "again", "plain"))

    def write(grounding: object) -> None:
        (tmp_path / "scores.json").write_text(json.dumps(summary | {"grounding": grounding}))

    write({"mosaics": None, "field": field})
    run("average", tiny.model_file(), "--scores", tmp_path, "--output", measured, "--half")
    run("average", measured, "--notice", "Another notice.", "--output", again)
    del field["images"]
    assert json.loads(run("info", again, "--json"))["grounding"] == field
    assert "half 0.4, most 0.9" in run("info", again)
    caption = captioner.load(again, "cpu").caption(tiny_photo(tmp_path))
    assert caption.grounding == field
    both = captioner.load([again, tiny.model_file()], "cpu").caption(tiny_photo(tmp_path))
    assert both.grounding is None  # that of one member is not that of all
    for wrong in (
        {"mosaics": {"peak": 3}},
        {"field": field | {"half": None}},
        {"field": {"half": 0.5}},
        "none",
    ):
        write(wrong)
        with pytest.raises(SystemExit) as ended:
            main(["average", str(tiny.model_file()), "--scores", str(tmp_path), "--output", str(plain)])
        assert ended.value.code == 2 and not plain.exists()


def tiny_photo(folder: Path) -> Path:
    path = folder / "photo.png"
    tiny.records()[0].source().save(path)  # type: ignore[operator]
    return path


def test_one_model_is_averaged_only_to_be_rewritten(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["average", str(tiny.model_file()), "--output", str(tmp_path / "m.safetensors")])
    assert ended.value.code == 2
