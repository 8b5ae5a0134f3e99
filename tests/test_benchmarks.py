"""What benchmarks compare must be the same function: ours and the textbook's, values and gradients."""

from importlib import import_module

import precision
import pytest
import scale
import textbook
import torch
from PIL import Image
from told import run

from captioner.config.model import EncoderConfig, SoftAttentionConfig
from captioner.config.search import SearchConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.data.records import Record
from captioner.decoding.search import search
from captioner.features.cache import cached_features
from captioner.kernels import linear
from captioner.kernels.onednn import has_onednn
from captioner.model.cells import CELLS
from captioner.model.encoder import build_encoder
from captioner.model.rows import Captions
from captioner.training.loss import caption_loss
from captioner.vocabulary import END

CAPTIONS = [[[4, 5, 6, END], [7, END]], [[8, 4, END]], [[5, 5, 7, 8, 6, END], [6, END], [4, 8, END]]]


@pytest.mark.parametrize("cell", [*CELLS, "gru-after", "fgr", "lstm-norm", "gru-norm"])
def test_textbook_has_our_loss_and_gradients(make_decoder, make_annotations, cell):
    decoder, annotations = make_decoder(cell), make_annotations(images=3)
    batch = Captions.build(CAPTIONS)
    ours = caption_loss(decoder, decoder(annotations, batch), SoftAttentionConfig(penalty=0.7)).total / 6
    theirs = textbook.loss(decoder, annotations, CAPTIONS, penalty=0.7)
    torch.testing.assert_close(ours, theirs)
    weights = list(decoder.parameters())
    torch.testing.assert_close(torch.autograd.grad(ours, weights), torch.autograd.grad(theirs, weights))


@pytest.mark.skipif(not has_onednn(), reason="torch has no oneDNN for this processor")
@pytest.mark.parametrize("cell", [*CELLS, "gru-after", "fgr", "lstm-norm", "gru-norm"])
def test_textbook_has_our_loss_and_gradients_with_weights_laid_out(
    make_decoder, make_annotations, cell, monkeypatch
):
    """As those of the usual size are, in float32 and with several threads."""
    monkeypatch.setattr(linear, "ROWS", 1)
    monkeypatch.setattr(linear, "SMALLEST", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    gains, taken = linear._gains, []
    monkeypatch.setattr(linear, "_gains", lambda x, weight: taken.append(gains(x, weight)) or taken[-1])
    decoder, annotations = make_decoder(cell).float(), make_annotations(images=3).float()
    ours = caption_loss(decoder, decoder(annotations, Captions.build(CAPTIONS)), SoftAttentionConfig()).total
    theirs = textbook.loss(decoder, annotations, CAPTIONS, penalty=SoftAttentionConfig().penalty)
    torch.testing.assert_close(ours / 6, theirs)
    weights = list(decoder.parameters())
    gradients = (torch.autograd.grad(loss, weights) for loss in (ours / 6, theirs))
    for our, their in zip(*gradients):
        torch.testing.assert_close(our, their, rtol=1e-4, atol=1e-6)
    assert taken and all(taken)


@pytest.mark.parametrize("beam_size", [1, 2, 5])
def test_textbook_finds_our_captions(make_decoder, make_annotations, beam_size):
    decoder, annotations = make_decoder(), make_annotations(images=12)
    options = SearchConfig(beam_size=beam_size, max_length=7, length_normalization=0.7)
    ours = [hypotheses[0].words for hypotheses in search(decoder, annotations, options)]
    theirs = [tuple(textbook.beam_search(decoder, a, beam_size, 7, 0.7)) for a in annotations]
    assert ours == theirs
    assert len(set(ours)) > 1


def test_emulated_bf16_is_exact_products_rounded():
    a, b, c = (torch.randn(*shape).bfloat16() for shape in ((5, 300), (300, 7), (5, 7)))
    exact = (a.double() @ b.double()).float()
    with precision.emulated_bf16():
        given = [a @ b, (a[None] @ b[None])[0], torch.mm(a, b, out=torch.empty_like(c))]
        added = [torch.addmm(c, a, b), torch.baddbmm(c[None], a[None], b[None])[0], c.clone().addmm_(a, b)]
        kept = torch.full_like(c, float("nan")).addmm_(a, b, beta=0)
    for product in (*given, kept):
        torch.testing.assert_close(product, exact.bfloat16())
    for product in added:
        torch.testing.assert_close(product, (exact + c.float()).bfloat16())


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("decoder", "--flickr8k nowhere", "data.root: there is no folder"),
        ("decoder", "--device abacus", "'abacus' cannot be used here"),
        ("decoder", "--vocabulary 4", "4 is out of range, it must be at least 5"),
        ("files", "--photos nowhere", "nowhere/*.jpg: no image in it"),
        ("files", "--count 0", "0 is out of range"),
        ("growth", "--device abacus", "'abacus' cannot be used here"),
        ("index", "--images -1", "-1 is out of range"),
        ("precision", "experiment=nowhere", "experiment: 'nowhere' is not one of"),
        ("precision", "init=nowhere.safetensors", "there is no file"),
        ("precision", "data=flickr8k data.root=nowhere", "data.root: there is no folder"),
        ("scale", "--captions many", "invalid"),
        ("startup", "--runs 0", "0 is out of range"),
    ],
)
def test_bad_input_is_told_in_a_line(name, given, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [f"{name}.py", *given.split()])
    with pytest.raises(SystemExit, match="2"):
        run(import_module(name).main)
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_tables_of_large_data_are_those_of_the_script():
    """``python benchmarks/scale.py`` prints them; what it measures on the spot is left out."""
    networks = {name: scale.network(*given) for name, given in scale.ENCODERS.items()}
    text = (scale.DOCS / "scale.md").read_text(encoding="utf-8")
    assert scale.networks_table(networks) in text
    assert scale.hours_table(scale.measured(), networks) in text
    assert scale.network_table(networks) in text


def test_storage_is_counted_as_the_cache_keeps_it(tmp_path):
    encoder = build_encoder(EncoderConfig("small", None, 32, fine_tune="stage3"), load_weights=False)
    record = Record("one", lambda: Image.new("RGB", (32, 32)), ("a",))
    kept = cached_features(
        encoder, Preprocess(32, "crop"), [record], tmp_path, torch.device("cpu"), progress=False
    )
    paper = scale.network("small", "torchvision", 32, "stage3")
    assert (paper.shape, paper.stored) == (kept.shape[1:], kept.nbytes)
