"""Model files: what is saved comes back, and nothing that is not one of ours is believed or run."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from support.memory import peak_growth
from support.tiny import model_file, records

import captioner
from captioner.checkpoint.file import load_checkpoint, save_checkpoint
from captioner.checkpoint.members import load_members
from captioner.errors import CaptionerError
from captioner.predictor import Predictor
from captioner.system.atomic_files import write_whole
from captioner.training.run_folder import load_resume_state, save_resume_state


class Trap:
    """An object whose unpickling makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def refusal(path: Path) -> str:
    """The line that refuses the model file."""
    with pytest.raises(CaptionerError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.startswith("checkpoint: ") and "\n" not in message
    return message


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """A safetensors file's header and its tensors' bytes."""
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], version: str = "1") -> Path:
    """A copy of the tiny model file whose own header ``change`` has changed."""
    header, tensors = split(model_file().read_bytes())
    ours = json.loads(header["__metadata__"]["captioner"])
    change(ours)
    header["__metadata__"] = {"captioner": json.dumps(ours), "format": version}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + tensors)
    return path


# --- round trip -----------------------------------------------------------------------------------


def test_round_trip_keeps_captions_to_the_bit(tmp_path: Path) -> None:
    first = load_checkpoint(model_file())
    save_checkpoint(first, tmp_path / "again.safetensors")
    images = [record.source() for record in records()]  # type: ignore[operator]
    before = list(Predictor(first, "cpu").caption_many(images))
    after = list(captioner.load(tmp_path / "again.safetensors", "cpu").caption_many(images))
    assert after == before
    assert len({caption.text for caption in before}) > 1


def test_round_trip_keeps_all_but_the_digest(tmp_path: Path) -> None:
    first = load_checkpoint(model_file())
    save_checkpoint(first, tmp_path / "again.safetensors")
    again = load_checkpoint(tmp_path / "again.safetensors")
    assert (again.config, again.scores) == (first.config, first.scores)
    assert (again.vocabulary.words, again.vocabulary.unit) == (first.vocabulary.words, first.vocabulary.unit)
    assert again.scores["BLEU-4"] > 0


def test_same_model_is_the_same_file_to_the_byte(tmp_path: Path) -> None:
    found, path = set(), tmp_path / "again.safetensors"
    for _ in range(8):  # safetensors orders its header by chance
        save_checkpoint(load_checkpoint(model_file()), path)
        found.add(path.read_bytes())
    assert len(found) == 1


def test_run_folder_stands_for_its_model_file() -> None:
    assert load_checkpoint(model_file().parent).digest == load_checkpoint(model_file()).digest


def test_model_comes_back_in_eval_mode() -> None:
    assert not any(module.training for module in load_checkpoint(model_file()).model.modules())


def test_header_holds_no_path_of_the_machine() -> None:
    header, _ = split(model_file().read_bytes())
    assert str(model_file().parent.parent) not in json.dumps(header)


# --- damaged files --------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, 0.01, 0.1, 0.5, 0.9, -8, -1])
def test_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    data = model_file().read_bytes()
    path = tmp_path / "model.safetensors"
    path.write_bytes(data[: int(kept * len(data)) if 0 < kept < 1 else int(kept)])
    assert str(path) in refusal(path)


def test_longer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_file().read_bytes() + b"more")
    refusal(path)


@pytest.mark.parametrize("seed", range(4))
def test_bit_flips_in_the_header_are_refused_or_harmless(tmp_path: Path, seed: int) -> None:
    data, random = model_file().read_bytes(), Random(seed)
    size = 8 + struct.unpack("<Q", data[:8])[0]
    path = tmp_path / "model.safetensors"
    refused = 0
    for _ in range(40):
        flipped = bytearray(data)
        flipped[random.randrange(size)] ^= 1 << random.randrange(8)
        path.write_bytes(flipped)
        try:
            load_checkpoint(path)
        except CaptionerError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"\xff" * 64, bytes(range(256)), b"{}", b"\x89PNG\r\n"])
def test_file_of_another_kind_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    refusal(path)


def test_safetensors_file_of_something_else_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    assert "not a model file of captioner" in refusal(path)


@pytest.mark.parametrize("claimed", [2**63, 2**40, 10**8 + 1])
def test_header_that_claims_an_absurd_size_is_refused(tmp_path: Path, claimed: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", claimed) + model_file().read_bytes()[8:])
    refusal(path)


@pytest.mark.parametrize(
    ("part", "key"), [("decoder", "hidden_size"), ("decoder", "embedding_size"), ("attention", "size")]
)
def test_model_that_claims_an_absurd_size_is_refused(tmp_path: Path, part: str, key: str) -> None:
    path = tmp_path / "model.safetensors"
    refusal(rewritten(path, lambda ours: ours["config"][part].update({key: 10**12})))


def test_newer_format_is_told(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "model.safetensors", lambda ours: None, version="999")
    message = refusal(path)
    assert "999" in message and "newer" in message


def test_unknown_config_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    assert "config.zoom: there is no such key" in refusal(
        rewritten(path, lambda ours: ours["config"].update(zoom=2))
    )


def test_interpolation_in_the_config_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    rewritten(path, lambda ours: ours["config"]["encoder"].update(weights="${oc.env:HOME}"))
    assert "interpolation" in refusal(path)


@pytest.mark.parametrize("part", ["encoder", "cell", "attention", "decoder"])
def test_config_without_a_part_is_refused(tmp_path: Path, part: str) -> None:
    path = tmp_path / "model.safetensors"
    assert part in refusal(rewritten(path, lambda ours: ours["config"].pop(part)))


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key in ("config", "vocabulary") for value in (None, 3, "abc", [], {})]
    + [(key, value) for key in ("scores", "grounding") for value in (3, "abc", {"peak": "high"})]
    + [("scores", None), ("grounding", {"half": float("nan")}), ("grounding", {"peak": float("inf")})],
)
def test_header_of_wrong_types_is_refused(tmp_path: Path, key: str, value: object) -> None:
    refusal(rewritten(tmp_path / "model.safetensors", lambda ours: ours.update({key: value})))


def test_vocabulary_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    refusal(rewritten(path, lambda ours: ours["vocabulary"]["words"].pop()))


def test_word_that_stands_twice_is_refused(tmp_path: Path) -> None:
    def double(ours: dict[str, Any]) -> None:
        ours["vocabulary"]["words"][0] = ours["vocabulary"]["words"][1]

    assert "twice" in refusal(rewritten(tmp_path / "model.safetensors", double))


def test_missing_file_is_told(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in refusal(tmp_path / "none")


def test_folder_without_a_model_is_told(tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(tmp_path)


# --- files that would run code --------------------------------------------------------------------


def test_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    assert "pickle" in refusal(path)
    assert not (tmp_path / "sprung").exists()


def test_old_pickle_protocol_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=0))
    refusal(path)
    assert not (tmp_path / "sprung").exists()


def test_zipped_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Trap(tmp_path / "sprung")))
    assert "pickle" in refusal(path)
    assert not (tmp_path / "sprung").exists()


def test_trap_would_spring(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


def test_resume_state_that_is_a_pickle_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "resume.pt"
    torch.save({"model": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(CaptionerError, match="resume"):
        load_resume_state(path)
    assert not (tmp_path / "sprung").exists()


# --- writing --------------------------------------------------------------------------------------


def test_failing_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CaptionerError, match="No space"):
        write_whole(path, b"new")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {path.name: b"old"}


def test_interrupted_save_leaves_the_old_state_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "resume.pt"
    save_resume_state({"epoch": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        save_resume_state({"big": torch.zeros(1000), "unsaveable": lambda: None}, path)
    assert [file.name for file in tmp_path.iterdir()] == ["resume.pt"]
    assert load_resume_state(path) == {"epoch": 1}


def test_file_appears_under_its_name_only_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = os.fsync
    path = tmp_path / "model.safetensors"
    monkeypatch.setattr(os, "fsync", lambda file: (real(file), seen.append(path.exists())))
    save_checkpoint(replace(load_checkpoint(model_file())), path)
    assert seen == [False, True]  # the file's own, then its folder's


def test_truncated_resume_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "resume.pt"
    save_resume_state({"weights": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CaptionerError) as caught:
        load_resume_state(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_resume_state_is_told(tmp_path: Path) -> None:
    with pytest.raises(CaptionerError, match="nothing to resume"):
        load_resume_state(tmp_path / "resume.pt")


def test_bit_flip_in_the_weights_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    data = bytearray(model_file().read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    assert "checksum" in refusal(path)


@pytest.mark.parametrize("start", [b"\x80", b"PK"])
def test_header_size_may_begin_like_a_pickle(tmp_path: Path, start: bytes) -> None:
    data = model_file().read_bytes()
    size = int.from_bytes(data[:8], "little")
    padded = size + (int.from_bytes(start, "little") - size) % 256 ** len(start)
    path = tmp_path / "model.safetensors"
    header = data[8 : 8 + size].ljust(padded)
    path.write_bytes(padded.to_bytes(8, "little") + header + data[8 + size :])
    assert path.read_bytes().startswith(start)
    assert len(load_checkpoint(path).vocabulary) == len(load_checkpoint(model_file()).vocabulary)


# --- memory ---------------------------------------------------------------------------------------


linux = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux")


def refusal_takes(path: Path) -> int:
    """Bytes of memory that it takes to refuse the file."""

    def load() -> None:
        try:
            load_checkpoint(path)
        except CaptionerError as error:
            assert str(error).isprintable()
        else:
            raise AssertionError("it was not refused")

    return peak_growth(load)


@linux
@pytest.mark.parametrize("size", [10**5, 2**31, 10**9, 10**18, 10**30])
@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("decoder", "hidden_size"),
        ("decoder", "embedding_size"),
        ("attention", "size"),
        ("encoder", "image_size"),
    ],
)
def test_absurd_sizes_take_no_memory(tmp_path: Path, part: str, key: str, size: int) -> None:
    path = rewritten(tmp_path / "model.safetensors", lambda ours: ours["config"][part].update({key: size}))
    assert refusal_takes(path) < 4 * path.stat().st_size + 32 * 2**20


@linux
@pytest.mark.parametrize("name", ["vgg19", "resnet101", "convnext_tiny"])
def test_large_network_that_the_file_does_not_hold_takes_no_memory(tmp_path: Path, name: str) -> None:
    import torchvision  # noqa: F401, what importing takes is not counted

    path = rewritten(tmp_path / "model.safetensors", lambda ours: ours["config"]["encoder"].update(name=name))
    assert refusal_takes(path) < 4 * path.stat().st_size + 64 * 2**20


@linux
@pytest.mark.parametrize("start", [b"", b"whole"])
def test_file_of_terabytes_takes_no_memory(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_file().read_bytes() if start else b"")
    os.truncate(path, 2**40)  # sparse: nothing is written
    assert refusal_takes(path) < 4 * model_file().stat().st_size + 32 * 2**20


# --- what a header may not say --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_bit_flips_in_the_header_change_nothing_or_are_refused(tmp_path: Path, seed: int) -> None:
    data, random, whole = model_file().read_bytes(), Random(seed), load_checkpoint(model_file())
    size = 8 + struct.unpack("<Q", data[:8])[0]
    path = tmp_path / "model.safetensors"
    for _ in range(40):
        flipped = bytearray(data)
        flipped[random.randrange(size)] ^= 1 << random.randrange(8)
        path.write_bytes(flipped)
        try:
            found = load_checkpoint(path)
        except CaptionerError:
            continue
        assert (found.config, found.vocabulary.words) == (whole.config, whole.vocabulary.words)
        assert found.scores == whole.scores


@pytest.mark.parametrize("word", ["", " ", "two words", "a\nb", "\x1b[2J", "\ud800", "a\0", None, 3, ["a"]])
def test_word_that_is_none_is_refused(tmp_path: Path, word: object) -> None:
    path = tmp_path / "model.safetensors"
    message = refusal(rewritten(path, lambda ours: ours["vocabulary"]["words"].__setitem__(0, word)))
    assert "is not a word" in message and message.isprintable()


@pytest.mark.parametrize("value", [None, "x", [], {}, -1, 0, 1.5, 1e999, float("nan"), "1" * 5000, 10**400])
@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("encoder", "image_size"),
        ("encoder", "std"),
        ("decoder", "hidden_size"),
        ("decoder", "dropout"),
        ("decoder", "gate"),
        ("attention", "name"),
        ("cell", "name"),
    ],
)
def test_value_of_a_wrong_kind_is_refused_or_means_the_same(
    tmp_path: Path, part: str, key: str, value: object
) -> None:
    path = rewritten(tmp_path / "model.safetensors", lambda ours: ours["config"][part].update({key: value}))
    if (part, key, value) == ("decoder", "dropout", 0):  # a dropout of zero is one
        assert load_checkpoint(path).config.decoder.dropout == 0
    else:
        assert refusal(path).isprintable()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "key", ["encoder.mean", "encoder.std", "cell.forget_bias", "attention.penalty", "decoder.dropout"]
)
def test_number_that_is_none_is_refused(tmp_path: Path, key: str, value: float) -> None:
    part, name = key.split(".")
    given = [0.5, value, 0.5] if part == "encoder" else value
    path = tmp_path / "model.safetensors"
    rewritten(path, lambda ours: ours["config"][part].update({name: given}))
    assert f"{key}: {value:g} is out of range" in refusal(path)


def with_weights(path: Path, name: str, value: float) -> Path:
    """The tiny model with all of one tensor's numbers changed, as a file that is whole."""
    checkpoint = load_checkpoint(model_file())
    checkpoint.model.state_dict()[name].fill_(value)
    save_checkpoint(checkpoint, path)
    return path


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weight_that_is_no_number_is_refused(tmp_path: Path, value: float) -> None:
    path = with_weights(tmp_path / "model.safetensors", "decoder.cell.hidden_map", value)
    assert "not all finite numbers (decoder.cell.hidden_map)" in refusal(path)


def test_standard_deviation_that_is_none_is_refused(tmp_path: Path) -> None:
    path = with_weights(tmp_path / "model.safetensors", "encoder.std", 0.0)
    assert "encoder.std is not positive" in refusal(path)


def test_model_whose_probabilities_are_nan_says_so(tmp_path: Path) -> None:
    path = with_weights(tmp_path / "model.safetensors", "decoder.embedding.weight", 3e38)
    with pytest.raises(CaptionerError, match=r"^search: the model's probabilities are NaN"):
        captioner.load(path, "cpu").caption(records()[0].source())  # type: ignore[operator]


@pytest.mark.parametrize("paths", [None, 3, True, {"a": 1}, [["a"]], [None]])
def test_what_names_no_model_file_is_told(paths: object) -> None:
    with pytest.raises(CaptionerError, match=r"^checkpoint: .* is neither a model file nor a list of them$"):
        load_members(paths)


@pytest.mark.parametrize("name", ["a" * 5000, "~nobody-of-this-name/model.safetensors", "zero\0byte"])
def test_path_that_cannot_be_is_told(name: str) -> None:
    refusal(Path(name))


@pytest.mark.parametrize("change", ["shape", "dtype", "offsets", "name", "missing"])
def test_tensors_that_the_header_misdescribes_are_refused(tmp_path: Path, change: str) -> None:
    header, tensors = split(model_file().read_bytes())
    name = next(k for k, v in header.items() if k != "__metadata__" and len(v["shape"]) == 2)
    entry = header[name]
    if change == "shape":
        entry["shape"] = entry["shape"][::-1] if entry["shape"][0] != entry["shape"][1] else [1, -1]
    elif change == "dtype":
        entry["dtype"] = "I32"
    elif change == "offsets":
        entry["data_offsets"] = [0, 2**62]
    else:
        header["other"] = header.pop(name)
        if change == "missing":
            del header["other"]
    text = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + tensors)
    assert "weights" in refusal(path)


def test_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied" in refusal(model_file())


def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    refusal(tmp_path / "model.safetensors")
