"""What benchmarks compare must be the same function: ours and the textbook's, values and gradients."""

import sys
from pathlib import Path

import pytest
import torch

from captioner.cells import CELLS
from captioner.config import SearchConfig, SoftAttentionConfig
from captioner.packing import Captions
from captioner.search import search
from captioner.training.loss import caption_loss
from captioner.vocabulary import END

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import textbook

CAPTIONS = [[[4, 5, 6, END], [7, END]], [[8, 4, END]], [[5, 5, 7, 8, 6, END], [6, END], [4, 8, END]]]


@pytest.mark.parametrize("cell", [*CELLS, "gru-after"])
def test_textbook_has_our_loss_and_gradients(make_decoder, make_annotations, cell):
    decoder, annotations = make_decoder(cell), make_annotations(images=3)
    batch = Captions.build(CAPTIONS)
    ours = caption_loss(decoder, decoder(annotations, batch), SoftAttentionConfig(penalty=0.7)).total / 6
    theirs = textbook.loss(decoder, annotations, CAPTIONS, penalty=0.7)
    torch.testing.assert_close(ours, theirs)
    weights = list(decoder.parameters())
    torch.testing.assert_close(torch.autograd.grad(ours, weights), torch.autograd.grad(theirs, weights))


@pytest.mark.parametrize("beam_size", [1, 2, 5])
def test_textbook_finds_our_captions(make_decoder, make_annotations, beam_size):
    decoder, annotations = make_decoder(), make_annotations(images=12)
    options = SearchConfig(beam_size=beam_size, max_length=7, length_normalization=0.7)
    ours = [hypotheses[0].words for hypotheses in search(decoder, annotations, options)]
    theirs = [tuple(textbook.beam_search(decoder, a, beam_size, 7, 0.7)) for a in annotations]
    assert ours == theirs
    assert len(set(ours)) > 1
