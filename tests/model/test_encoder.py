"""Encoders against torchvision's own networks, and what is frozen, trained and loaded."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections import OrderedDict
from copy import deepcopy
from datetime import date
from functools import lru_cache

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from captioner.config.model import EncoderConfig
from captioner.errors import CaptionerError
from captioner.kernels.depthwise import DepthwiseConvolution, train_depthwise_in_single
from captioner.kernels.folding import ACTIVATIONS, FoldedConvolution
from captioner.kernels.onednn import has_onednn
from captioner.kernels.padded import PaddedConvolution
from captioner.model import backbones
from captioner.model.backbones import TORCHVISION
from captioner.model.encoder import Encoder, build_encoder

NODES = {  # the name of the module whose output is the feature map
    "resnet18": "layer4",
    "resnet50": "layer4",
    "resnet101": "layer4",
    "mobilenet_v2": "features.18",
    "mobilenet_v3_large": "features.16",
    "squeezenet1_1": "features.12",
    "efficientnet_b0": "features.8",
    "convnext_tiny": "features.7",
    "vgg19": "features.35",  # the last one before the last pooling
}
MEAN, STD = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]


def config(name="small", size=64, **options):
    return EncoderConfig(name, image_size=size, mean=MEAN, std=STD, **options)


def small(**options):
    encoder = build_encoder(config(**options))
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # statistics that matter
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2.0)
    return encoder


def photos(images=2, size=64):
    return torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8)


def normalized(pixels):
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return (pixels.float() / 255 - mean) / std


def statistics(module):
    return {name: buffer.clone() for name, buffer in module.named_buffers() if "running" in name}


# --- annotations -------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def network(name):
    """With random weights, and without the classifier, whose millions would take long to draw."""
    with torch.device("meta"):
        built = torchvision.models.get_model_builder(name)(weights=None)
    setattr(built, "fc" if hasattr(built, "fc") else "classifier", torch.nn.Identity())
    built.to_empty(device="cpu")
    for tensor in (*built.parameters(), *built.buffers()):
        if tensor.ndim == 4:
            torch.nn.init.kaiming_uniform_(tensor, nonlinearity="relu")
        elif tensor.ndim == 2:
            torch.nn.init.xavier_uniform_(tensor)
        elif tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, 0.5, 1.0)
    return built.eval()


def encoder_of(name, monkeypatch, **options):
    """The encoder built on that very network."""
    monkeypatch.setattr(torchvision.models, "get_model", lambda name, weights: network(name))
    return build_encoder(config(name, **options)).eval()


def test_every_torchvision_encoder_is_tested():
    assert set(NODES) == set(TORCHVISION)


@pytest.mark.parametrize("name", NODES)
def test_annotations_are_the_feature_map_row_after_row(name, monkeypatch):
    encoder, pixels, maps = encoder_of(name, monkeypatch), photos(), []
    module = network(name).get_submodule(NODES[name])
    with torch.no_grad():
        hook = module.register_forward_hook(lambda module, inputs, output: maps.append(output.clone()))
        network(name)(normalized(pixels))
        hook.remove()
        annotations = encoder(pixels)
    _, features, rows, columns = maps[0].shape
    wanted = [maps[0][:, :, row, column] for row in range(rows) for column in range(columns)]
    torch.testing.assert_close(annotations, torch.stack(wanted, dim=1))
    assert (encoder.grid, encoder.features) == ((rows, columns), features)


def apart(ours, wanted):
    return ((ours - wanted).norm() / wanted.norm()).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [*NODES, "small"])
def test_folded_for_inference_the_annotations_are_the_same(name, dtype, monkeypatch):
    """And the encoder stays as it was, and what it is given too: the trunk's output may be a cache."""
    middle = {"small": "stage2", "squeezenet1_1": "features1"}.get(name)
    middle = middle or ("layer3" if name.startswith("resnet") else "features5")
    encoder = small(fine_tune=middle) if name == "small" else encoder_of(name, monkeypatch, fine_tune=middle)
    encoder, pixels = deepcopy(encoder).to(dtype).eval(), photos()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    folded = encoder.folded()
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        features = folded.trunk(pixels)
        kept = features.clone()
        near = 1e-4 if dtype == torch.float32 else 1e-9
        for ours, wanted in (
            (features, encoder.trunk(pixels)),
            (folded.tail(features), encoder.tail(features)),
        ):
            if dtype == torch.float64:
                torch.testing.assert_close(ours, wanted)
            assert apart(ours, wanted) < near
    assert torch.equal(features, kept)
    torch.testing.assert_close(dict(encoder.state_dict()), before, rtol=0, atol=0)


@pytest.mark.skipif(not has_onednn(), reason="torch has no oneDNN for this processor")
@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0"])
def test_folded_convolutions_take_their_activations(name, monkeypatch):
    encoder = encoder_of(name, monkeypatch)
    pairs = [
        (c, a)
        for block in encoder.modules()
        if isinstance(block, torchvision.ops.Conv2dNormActivation)
        for c, a in [(block[0], block[-1])]
        if isinstance(a, ACTIVATIONS)
    ]
    folded = [m for m in encoder.folded().modules() if isinstance(m, FoldedConvolution) and m.activation]
    assert len(pairs) > 10
    assert [type(m.activation) for m in folded] == [type(a) for _, a in pairs]


@pytest.mark.parametrize("native", [True, False])
def test_folded_in_half_precision_is_torchs_autocast(native, monkeypatch):
    if not native:
        monkeypatch.setattr("captioner.kernels.onednn.has_bf16", lambda device: False)
    encoder, pixels = encoder_of("mobilenet_v2", monkeypatch), photos()
    folded = encoder.folded()
    with torch.no_grad():
        before = folded(pixels)
        with torch.autocast("cpu", torch.bfloat16):
            ours, wanted = folded(pixels), encoder(pixels)
        torch.testing.assert_close(folded(pixels), before, rtol=0, atol=0)  # each precision its own weights
    assert ours.dtype == wanted.dtype == torch.bfloat16
    assert apart(ours.float(), wanted.float()) < 0.1


def depthwise(encoder):
    return [(name, m) for name, m in encoder.named_modules() if isinstance(m, DepthwiseConvolution)]


def test_trained_depthwise_convolutions_are_those_that_are_slow_in_half_precision(monkeypatch):
    network.cache_clear()  # it may be one that another test froze
    encoder = encoder_of("mobilenet_v2", monkeypatch, fine_tune="features7")
    assert [(name, m.stride) for name, m in depthwise(encoder)] == [
        ("stages.features7.conv.1.0", (2, 2)),
        ("stages.features14.conv.1.0", (2, 2)),
    ]
    assert {
        m.kernel_size for _, m in depthwise(encoder_of("mobilenet_v3_large", monkeypatch, fine_tune=True))
    } == {
        (3, 3),
        (5, 5),
    }
    assert depthwise(encoder_of("mobilenet_v2", monkeypatch)) == []
    assert depthwise(encoder_of("resnet18", monkeypatch, fine_tune=True)) == []


def test_depthwise_convolution_is_the_one_it_was_made_of():
    torch.manual_seed(0)
    given, x = torch.nn.Conv2d(6, 12, 5, 2, 2, groups=6), torch.randn(2, 6, 9, 9)
    made = DepthwiseConvolution.of(given)
    assert dict(made.named_parameters()) == dict(given.named_parameters())
    wanted = given(x)
    assert torch.equal(made(x), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(made(x), wanted)
        with torch.no_grad():
            assert made(x).dtype == torch.bfloat16


def test_padded_depthwise_convolution_is_the_one_it_was_made_of():
    torch.manual_seed(0)
    given, x = PaddedConvolution(6, 6, 5, 2, groups=6), torch.randn(2, 6, 8, 10)
    given.pad = (1, 2, 0, 3)
    network = torch.nn.Sequential(given)
    train_depthwise_in_single(network)
    (made,) = network
    assert isinstance(made, DepthwiseConvolution)
    assert dict(made.named_parameters()) == dict(given.named_parameters())
    wanted = torch.nn.functional.conv2d(
        torch.nn.functional.pad(x, given.pad), given.weight, given.bias, stride=2, groups=6
    )
    torch.testing.assert_close(made(x), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(made(x), wanted)
        with torch.no_grad():
            assert made(x).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "grid", "features"),
    [("vgg19", (14, 14), 512), ("resnet18", (7, 7), 512), ("small", (28, 28), 128)],
)
def test_shape_at_the_usual_size(name, grid, features, monkeypatch):
    encoder = encoder_of(name, monkeypatch, size=224)
    assert (encoder.grid, encoder.features) == (grid, features)


def test_an_image_too_small_is_refused(monkeypatch):
    with pytest.raises(CaptionerError, match=r"encoder\.image_size: 8 is too small"):
        encoder_of("squeezenet1_1", monkeypatch, size=8)


def test_small_encoders_annotations_are_local():
    """Kernels of 4, 4, 3, 4 and 3, strides of 2, 2, 1, 2 and 1: 1 + 3 (1 + 2 + 4) + 2 (4 + 8) = 46 pixels.

    They lie around the middle of the annotation's cell of 8 x 8 pixels.
    """
    encoder = small().eval()
    pixels = normalized(photos(1, 64)).requires_grad_()
    feature_map = encoder.stages(pixels)
    seen = torch.autograd.grad(feature_map[0, :, 4, 4].sum(), pixels)[0][0].abs().sum(0)
    ys, xs = seen.nonzero(as_tuple=True)
    assert (ys.min().item(), ys.max().item()) == (4 * 8 - 19, 4 * 8 + 7 + 19)
    assert (xs.min().item(), xs.max().item()) == (4 * 8 - 19, 4 * 8 + 7 + 19)


def test_a_far_away_pixel_does_not_change_an_annotation():
    encoder = small().eval()
    pixels = photos(1)
    changed = pixels.clone()
    changed[:, :, :8, :8] = 255 - changed[:, :, :8, :8]
    with torch.no_grad():
        before, after = encoder(pixels), encoder(changed)
    assert torch.equal(before[:, -1], after[:, -1])
    assert not torch.allclose(before[:, 0], after[:, 0])


def test_small_encoder_knows_where_it_looks():
    """An image of one colour gives annotations that differ within, where no border is near."""
    encoder = small(size=128).eval()
    with torch.no_grad():
        grid = encoder(torch.full((1, 3, 128, 128), 90, dtype=torch.uint8)).view(16, 16, -1)
    assert not torch.allclose(grid[5, 5], grid[5, 9])
    assert not torch.allclose(grid[5, 5], grid[9, 5])


# --- frozen and trained ------------------------------------------------------------------------------


def test_frozen_encoder_stays_in_eval_mode():
    encoder = small().train()
    assert not any(stage.training for stage in encoder.stages)
    assert encoder.frozen


def test_frozen_statistics_do_not_drift():
    encoder = small().train()
    before = statistics(encoder)
    encoder(photos())
    torch.testing.assert_close(statistics(encoder), before, rtol=0, atol=0)


def test_only_trained_statistics_move():
    encoder = small(fine_tune="stage2").train()
    before = statistics(encoder)
    encoder(photos())
    moved = {name for name, value in statistics(encoder).items() if not torch.equal(value, before[name])}
    assert moved == {f"stages.stage{i}.1.running_{kind}" for i in (2, 3) for kind in ("mean", "var")}


def test_a_pretrained_network_keeps_its_statistics_while_it_is_trained(tmp_path):
    """Those of a checkpoint whose BatchNorm was folded into the convolutions mean nothing in train mode."""
    torch.save(small().stages.state_dict(), tmp_path / "weights.pth")
    encoder = small(weights=str(tmp_path / "weights.pth"), fine_tune="stage1")
    pixels, before = photos(), statistics(encoder)
    expected = encoder.eval()(pixels)
    torch.testing.assert_close(encoder.train()(pixels), expected)
    torch.testing.assert_close(statistics(encoder), before, rtol=0, atol=0)
    encoder(pixels).square().sum().backward()
    assert encoder.stages.stage1[1].weight.grad.abs().max() > 0


def test_eval_mode_reaches_the_trained_stages():
    assert not any(module.training for module in small(fine_tune=True).eval().modules())


@pytest.mark.parametrize("fine_tune", [False, "stage1", "stage3", True])
def test_encoder_is_its_tail_after_its_trunk(fine_tune):
    encoder = small(fine_tune=fine_tune).eval()
    pixels = photos()
    whole = encoder.stages(normalized(pixels)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(encoder.tail(encoder.trunk(pixels)), whole)
    torch.testing.assert_close(encoder(pixels), whole)


@pytest.mark.parametrize(
    ("fine_tune", "trained"),
    [("stage0", {0, 1, 2, 3}), ("stage2", {2, 3}), ("stage3", {3}), (True, {0, 1, 2, 3})],
)
def test_gradients_reach_the_trained_stages_alone(fine_tune, trained):
    encoder = small(fine_tune=fine_tune)
    encoder(photos()).sum().backward()
    for i, stage in enumerate(encoder.stages):
        assert all((p.grad is not None) == (i in trained) for p in stage.parameters())
        assert all(p.requires_grad == (i in trained) for p in stage.parameters())


@pytest.mark.parametrize("fine_tune", [False, None])
def test_a_frozen_encoder_has_nothing_to_train(fine_tune):
    encoder = small(fine_tune=fine_tune)
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not encoder(photos()).requires_grad


def test_trunk_without_frozen_stages_is_the_pixels():
    pixels = photos()
    assert torch.equal(small(fine_tune=True).trunk(pixels), pixels)


def test_tail_leaves_the_trunks_output_as_it_was(monkeypatch):
    """The output is cached; the stage that trains first may be an in-place ReLU."""
    encoder = encoder_of("squeezenet1_1", monkeypatch, fine_tune="features1")
    features = encoder.trunk(photos())
    before = features.clone()
    encoder.tail(features)
    assert torch.equal(features, before)


def test_annotations_of_an_earlier_stage():
    torch.manual_seed(0)
    encoder = small(last_stage="stage2", size=72).eval()
    assert (encoder.features, encoder.grid) == (96, (9, 9))
    pixels = photos(size=72)
    first_three = encoder.stages.stage2(encoder.stages.stage1(encoder.stages.stage0(normalized(pixels))))
    torch.testing.assert_close(encoder(pixels), first_three.flatten(2).transpose(1, 2))


def test_weights_of_the_whole_network_fit_an_earlier_stage(tmp_path):
    whole = small()
    torch.save(whole.stages.state_dict(), tmp_path / "weights.pth")
    part = build_encoder(config(weights=str(tmp_path / "weights.pth"), last_stage="stage1"))
    expected = {k: v for k, v in whole.stages.state_dict().items() if k < "stage2"}
    torch.testing.assert_close(dict(part.stages.state_dict()), expected, rtol=0, atol=0)


def test_fingerprint_changes_with_a_frozen_weight_and_the_normalisation_alone():
    encoder = small(fine_tune="stage2")
    first = encoder.fingerprint()
    encoder.stages.stage2[0].weight.data += 1
    assert encoder.fingerprint() == first
    encoder.mean += 1
    second = encoder.fingerprint()
    encoder.stages.stage1[0].weight.data += 1
    assert len({first, second, encoder.fingerprint()}) == 3


@pytest.mark.parametrize("change", ["activation", "stride", "epsilon"])
def test_fingerprint_tells_networks_of_the_same_weights_apart(change):
    def encoder(stride=1, eps=1e-5, **more):
        torch.manual_seed(0)
        stem = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride, 1), torch.nn.BatchNorm2d(4, eps))
        return Encoder(OrderedDict(stem=stem, **more), 8, MEAN, STD)

    changed = {"activation": {"act": torch.nn.ReLU()}, "stride": {"stride": 2}, "epsilon": {"eps": 1e-3}}
    one, other = encoder(), encoder(**changed[change])
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    assert one.fingerprint() == encoder().fingerprint()
    assert one.fingerprint() != other.fingerprint()


# --- weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "save"), [(".pth", torch.save), (".safetensors", save_file)])
def test_weights_are_loaded_from_a_file(tmp_path, suffix, save):
    trained = small().eval()
    path = tmp_path / f"weights{suffix}"
    save({name: tensor.contiguous() for name, tensor in trained.stages.state_dict().items()}, path)
    pixels = photos()
    loaded = build_encoder(config(weights=str(path))).eval()
    torch.testing.assert_close(loaded(pixels), trained(pixels), rtol=0, atol=0)


def test_torchvision_weights_need_no_classifier(tmp_path):
    trained = torchvision.models.squeezenet1_1(weights=None).eval()
    path = tmp_path / "weights.pth"
    torch.save(trained.features.state_dict(prefix="features."), path)
    pixels = photos()
    wanted = trained.features(normalized(pixels)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(build_encoder(config("squeezenet1_1", weights=str(path)))(pixels), wanted)


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("weights.pth", lambda state: prefixed(state, "module.")),
        ("weights.pth", lambda state: prefixed(state, "_orig_mod.")),
        ("weights.pth", lambda state: prefixed(state, "module._orig_mod.model.")),
        ("weights.pth", lambda state: prefixed(state, "backbone.")),
        ("weights.pth", lambda state: {"net": state}),
        (
            "weights.pth",
            lambda state: {"epoch": 3, "optimizer": {"lr": 1}, "net": prefixed(state, "module.")},
        ),
        ("weights.pth", lambda state: {"epoch": 3, "model_state_dict": state}),
        ("weights.pth", lambda state: {"epoch": 3, "model": {"state_dict": state, "arch": "small"}}),
        ("weights.pth", lambda state: {"network": state}),
        ("weights.pth", lambda state: {"epoch": 3, "state_dict": state, "args": Namespace(lr=1)}),
        ("weights.pth", lambda state: {"state_dict_ema": state, "optimizer": {"state": {}}, "epoch": 3}),
        ("weights.pth", lambda state: prefixed(state, "module.encoder_q.")),
        ("lightning.ckpt", lambda state: {"epoch": 3, "state_dict": prefixed(state, "net.")}),
        ("WEIGHTS.PTH", dict),
        ("pytorch_model.bin", dict),
        ("model_best.pth.tar", lambda state: {"epoch": 3, "state_dict": prefixed(state, "module.")}),
    ],
)
def test_weights_are_found_in_what_training_scripts_save(tmp_path, name, wrap):
    trained = small().eval()
    torch.save(wrap(trained.stages.state_dict()), tmp_path / name)
    loaded = build_encoder(config(weights=str(tmp_path / name)))
    torch.testing.assert_close(loaded.stages.state_dict(), trained.stages.state_dict(), rtol=0, atol=0)


def test_prefixed_weights_may_have_another_classifier(tmp_path):
    trained = torchvision.models.squeezenet1_1(weights=None, num_classes=7)
    torch.save(prefixed(trained.state_dict(), "module."), tmp_path / "weights.pth")
    loaded = build_encoder(config("squeezenet1_1", weights=str(tmp_path / "weights.pth")))
    own = next(loaded.stages.parameters())
    torch.testing.assert_close(own.data, next(trained.parameters()).data, rtol=0, atol=0)


def test_half_precision_weights_are_loaded_in_single(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({name: t.half() for name, t in small().stages.state_dict().items()}, path)
    assert build_encoder(config(weights=str(path))).stages.stage0[1].weight.dtype == torch.float32


def test_a_checkpoint_needs_no_weights_file(tmp_path):
    missing = str(tmp_path / "gone.pth")
    assert build_encoder(config(weights=missing), load_weights=False).features == 128


class Code:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_code_in_a_pth_is_refused_and_not_run(tmp_path):
    trap = tmp_path / "trap"
    torch.save({"stage0.1.weight": Code(str(trap))}, tmp_path / "weights.pth")
    with pytest.raises(CaptionerError, match=r"encoder\.weights: .*weights\.pth cannot be read"):
        build_encoder(config(weights=str(tmp_path / "weights.pth")))
    assert not trap.exists()
    torch.load(tmp_path / "weights.pth", weights_only=False)
    assert trap.exists()  # it would have been run


@pytest.mark.parametrize(
    "content",
    [{"epoch": 3, "state_dict": {}}, {"model": {"w": torch.zeros(1)}}, [torch.zeros(1)], torch.zeros(1)],
)
def test_a_pth_that_holds_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(CaptionerError, match=r"encoder\.weights: .*weights\.pth"):
        build_encoder(config(weights=str(tmp_path / "weights.pth")))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"epoch": 3, "optimizer": {}}, r"epoch \(int\), optimizer \(dict\)"),
        ({"net": {"w": torch.zeros(1), "arch": "small"}}, r"arch \(str\)"),
        ({0: torch.zeros(1)}, r"0 \(Tensor\)"),
        ([torch.zeros(1)], "a list"),
        ({"epoch": 3, "state_dict": {}}, "nothing"),
    ],
)
def test_the_refusal_of_a_pth_says_what_it_holds(tmp_path, content, found):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(CaptionerError, match=rf"holds no state dict \(tensors by name\), there is {found}$"):
        build_encoder(config(weights=str(tmp_path / "weights.pth")))


def test_a_pth_that_holds_itself_is_refused(tmp_path):
    content = {}
    content["model"] = content
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(CaptionerError, match=r"there is model \(dict\)"):
        build_encoder(config(weights=str(tmp_path / "weights.pth")))


@pytest.mark.parametrize(
    ("prefix", "lost"),
    [("student.", "stage1.1.weight"), ("model.", "stage3.1.weight"), ("module.", "stage0.1.weight")],
)
def test_names_that_do_not_fit_are_told_with_those_wanted(tmp_path, prefix, lost):
    state = small().stages.state_dict()
    state.pop(lost, None)
    torch.save(prefixed(state, prefix), tmp_path / "weights.pth")
    first = re.escape(", ".join(list(prefixed(state, prefix))[:3]))
    wanted = re.escape(", ".join(list(small().stages.state_dict())[:3]))
    with pytest.raises(CaptionerError, match=rf"\(it begins with {first}; wanted are {wanted}\)$"):
        build_encoder(config(weights=str(tmp_path / "weights.pth")))


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "weights.bin", "weights.pth.tar"])
def test_a_damaged_file_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(CaptionerError, match=rf"encoder\.weights: .*{name} cannot be read"):
        build_encoder(config(weights=str(tmp_path / name)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty or cut short"),
        (b"<!DOCTYPE html>", "it is damaged, or was not written by torch.save"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is damaged, or was not written by torch.save"),
        (torch.nn.Linear(1, 1), "it holds torch.nn.modules.linear.Linear, which might run code; save the"),
        (
            {"net": {"w": torch.zeros(1)}, "date": date(2026, 1, 1)},
            "it holds datetime.date, which might run code",
        ),
    ],
)
def test_the_refusal_of_a_pth_says_what_is_in_the_way(tmp_path, content, reason):
    """And never advises to load it so that it could run code, as torch does."""
    path = tmp_path / "weights.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(CaptionerError, match=re.escape(f"weights.pth cannot be read ({reason}")) as caught:
        build_encoder(config(weights=str(path)))
    assert "weights_only" not in str(caught.value)


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "weights.onnx").write_bytes(b"")
    with pytest.raises(CaptionerError, match=r"weights\.onnx is neither \.safetensors nor \.pth, .*\.bin"):
        build_encoder(config(weights=str(tmp_path / "weights.onnx")))


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(CaptionerError, match=r"encoder\.weights: there is no file .*gone\.pth"):
        build_encoder(config(weights=str(tmp_path / "gone.pth")))


def changed(state, change):
    if change == "lacks":
        del state["stage3.1.weight"]
    elif change == "holds an unknown":
        state["stage4.weight"] = torch.zeros(1)
    else:
        state["stage3.1.weight"] = torch.zeros(7)
    return state


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        ("lacks", "stage3.1.weight"),
        ("holds an unknown", "stage4.weight"),
        ("size mismatch", "stage3.1.weight"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, change, culprit):
    torch.save(changed(small().stages.state_dict(), change), tmp_path / "weights.pth")
    with pytest.raises(CaptionerError, match=rf"is of another network.*{change}.*{culprit}"):
        build_encoder(config(weights=str(tmp_path / "weights.pth")))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    state = small().stages.state_dict()
    state["stage3.1.weight"][0] = value
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(
        CaptionerError, match=r"encoder\.weights: .*finite numbers only \(stage3\.1\.weight\)"
    ):
        build_encoder(config(weights=str(tmp_path / "weights.pth")))


# --- wrong options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet5"}, r"encoder\.name: 'resnet5' is not one of .*mean resnet50"),
        (
            {"fine_tune": "stage9"},
            r"encoder\.fine_tune: 'stage9' is not one of stage0, stage1",
        ),
        ({"last_stage": "stage9"}, r"encoder\.last_stage: 'stage9' is not one of stage0, stage1"),
        (
            {"last_stage": "stage1", "fine_tune": "stage2"},
            r"encoder\.fine_tune: 'stage2' is not one of stage0, stage1",
        ),
        (
            {"name": "resnet18", "weights": "imagenet"},
            r"imagenet weights want encoder\.mean=\[0\.485, 0\.456, 0\.406\].*not \[0\.1, 0\.2, 0\.3\]",
        ),
        ({"weights": "imagenet"}, r"encoder\.weights: the small encoder has no pretrained weights"),
        ({"size": 4}, r"encoder\.image_size: 4 is out of range"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(CaptionerError, match=message):
        build_encoder(config(**options))


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0.5], STD, r"encoder\.mean: \[0\.5\] has 1 values, not 3"),
        (MEAN, [1.0, 1.0], r"encoder\.std: .* has 2 values"),
        (MEAN, [0.5, 0.0, 0.5], r"encoder\.std: 0 is out of range"),
    ],
)
def test_wrong_normalisation_is_refused(mean, std, message):
    with pytest.raises(CaptionerError, match=message):
        build_encoder(EncoderConfig("small", mean=mean, std=std))


@pytest.mark.parametrize("held", [b"", b"<html>not found</html>", b"\x80"])
def test_broken_file_among_the_downloads_is_named(tmp_path, monkeypatch, held):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(held)
    mean, std = backbones.IMAGENET_MEAN, backbones.IMAGENET_STD
    config = EncoderConfig("squeezenet1_1", "imagenet", 64, "crop", mean, std)
    with pytest.raises(CaptionerError, match="delete") as caught:
        backbones.build_stages(config)
    assert str(file) in str(caught.value)
