"""Encoders whose annotations hold an early stage's map beside the last one's."""

from collections import OrderedDict

import pytest
import torch
from torch.nn.functional import avg_pool2d

from captioner.config.model import EncoderConfig
from captioner.errors import CaptionerError
from captioner.model.encoder import build_encoder
from captioner.model.joined import Joined, joined

LITE = "tf_efficientnet_lite2"


def encoder_of(name="small", side=64, **options):
    library = "torchvision" if name.startswith("small") else "timm"
    return build_encoder(EncoderConfig(name, image_size=side, library=library, **options)).eval()


def photos(side=64):
    return torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)


@pytest.mark.parametrize(("name", "cells"), [("small", 2), ("small_stride4", 1)])
def test_the_local_part_is_the_mean_of_its_stage_over_each_cell(name, cells):
    encoder, pixels = encoder_of(name, local="stage1", fine_tune="stage2"), photos()
    with torch.no_grad():
        maps = encoder.trunk(pixels)  # the output of stage1
        wide = encoder.stages[-1].rest(maps)
        annotations = encoder(pixels)
    wanted = torch.cat((wide, avg_pool2d(maps, cells)), dim=1).flatten(2).mT
    assert (encoder.local, encoder.features) == (48, 128 + 48)
    torch.testing.assert_close(annotations, wanted)


def test_an_odd_map_has_a_cell_on_every_second_of_its_cells():
    row = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])
    found = Joined(OrderedDict(rest=torch.nn.MaxPool2d(1, 2)))(row.expand(1, 1, 5, 5))
    torch.testing.assert_close(found[0, 1], torch.tensor([1.5, 14 / 3, 12.0]).expand(3, 3))


def test_a_window_may_be_higher_than_wide():
    found = Joined(OrderedDict(rest=torch.nn.MaxPool2d(1, 2)))(torch.ones(1, 1, 5, 3))
    assert found.shape == (1, 2, 3, 2)


def test_the_wide_part_is_what_the_encoder_gives_without_it():
    with_local, without = encoder_of(local="stage1"), encoder_of()
    state = {name.replace("stage2.rest.", ""): tensor for name, tensor in with_local.state_dict().items()}
    without.load_state_dict(state)
    pixels = photos()
    torch.testing.assert_close(with_local(pixels)[..., :128], without(pixels))


@pytest.mark.parametrize(
    ("name", "side", "local", "trained"),
    [
        ("small", 64, "stage1", "stage2"),
        ("small_stride4", 64, "stage0", True),
        (LITE, 68, "blocks_4_3", "blocks_5_0"),
    ],
)
def test_parts_and_folded_are_the_whole(name, side, local, trained):
    encoder, pixels = encoder_of(name, side, local=local, fine_tune=trained), photos(side)
    with torch.no_grad():
        whole = encoder(pixels)
        folded = encoder.folded()
        assert torch.equal(encoder.tail(encoder.trunk(pixels)), whole)
        torch.testing.assert_close(folded(pixels), whole, rtol=1e-3, atol=1e-3 * whole.abs().max().item())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"local": "stage3"}, r"encoder\.local: stage3 is the stage of the annotations themselves"),
        ({"local": "stage5"}, r"encoder\.local: .*stage5"),
        ({"local": "stage0", "last_stage": "stage1", "fine_tune": "stage2"}, r"encoder\.fine_tune: .*stage0"),
        (
            {"local": "stage0", "fine_tune": "stage2"},
            r"encoder\.fine_tune: with encoder\.local=stage0 .*; give stage1 instead of stage2",
        ),
        (
            {"name": "vit_tiny_patch16_224", "side": 32, "local": "blocks_1"},
            r"encoder\.local: what this stage gives",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(options, message):
    with pytest.raises(CaptionerError, match=message):
        encoder_of(**options)


def test_a_map_that_halves_past_the_grid_is_refused():
    rest = OrderedDict(rest=torch.nn.MaxPool2d(3, 3))
    with pytest.raises(
        CaptionerError,
        match=r"encoder\.local: what this stage gives, \(1, 3, 3\), cannot be halved to .* \(4, 4\)",
    ):
        Joined(rest)(torch.zeros(1, 1, 12, 12))


def test_stages_keep_their_names_up_to_the_first_that_is_joined():
    stages = {name: torch.nn.Identity() for name in ("stem", "one", "two", "three")}
    assert list(joined(stages, "one")) == ["stem", "one", "two"]
    assert [name for name, _ in joined(stages, "one")["two"].rest.named_children()] == ["two", "three"]
