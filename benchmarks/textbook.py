"""Show, Attend and Tell (Xu et al. 2015) as the paper prints it; numbers in parentheses are its equations.

What ours is measured against and tested against. It is written the way most implementations are: every
caption is a row with its own copy of the image's annotations, the annotations are projected again at every
step, logits are computed for padding too, and beam search takes one image at a time. It reads the parameters
of a ``captioner`` decoder and calls none of its functions; nothing is dropped out and no location is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn, sigmoid, tanh
from torch.nn import functional as F

from captioner.model.attention import SoftAttention
from captioner.model.cells import Cell, CoupledLSTMCell, GRUCell, LSTMCell, PeepholeLSTMCell, VanillaCell
from captioner.model.decoder import Decoder
from captioner.vocabulary import END, PAD, START, UNKNOWN

State = tuple[Tensor, ...]


class Reading(NamedTuple):
    logits: Tensor  # (rows, steps, vocabulary)
    alphas: Tensor  # (rows, steps, locations)


def affine(layer: nn.Linear, x: Tensor) -> Tensor:
    """W x + b, or W x where the layer has no b."""
    return F.linear(x, layer.weight, layer.bias)


# --- attention ---------------------------------------------------------------------------------------


def scores(attention: SoftAttention, annotations: Tensor, h: Tensor) -> Tensor:
    """e_i = f_att(a_i, h) (4) of annotations ``(rows, locations, features)``: ``(rows, locations)``.

    Additive (Bahdanau et al. 2015): v . tanh(W_a a_i + b + W_h h).
    Multiplicative (Luong et al. 2015, scaled): h . (W_a a_i + b) / sqrt(hidden size).
    """
    keys = affine(attention.annotation_map, annotations)
    if hasattr(attention, "hidden_map"):
        return tanh(keys + F.linear(h, attention.hidden_map).unsqueeze(1)) @ attention.score
    return (keys @ h.unsqueeze(2)).squeeze(2) / h.shape[1] ** 0.5


def attend(attention: SoftAttention, annotations: Tensor, h: Tensor) -> Tensor:
    """alpha = softmax(e) (5), ``(rows, locations)``."""
    return scores(attention, annotations, h).softmax(dim=1)


def expected(annotations: Tensor, alpha: Tensor) -> Tensor:
    """Soft attention: E[z] = sum_i alpha_i a_i (13), ``(rows, features)``."""
    return (alpha.unsqueeze(2) * annotations).sum(dim=1)


def chosen(annotations: Tensor, locations: Tensor) -> Tensor:
    """Hard attention: z = sum_i s_i a_i (9), s one at ``locations`` ``(rows,)`` and zero elsewhere."""
    return annotations[torch.arange(len(locations)), locations]


def look(
    attention: SoftAttention, annotations: Tensor, alpha: Tensor, locations: Tensor | None = None
) -> Tensor:
    """z = phi({a_i}, {alpha_i}) (6), ``(rows, features)``, at ``locations`` where they are given."""
    if locations is not None:
        return chosen(annotations, locations)
    if getattr(attention, "inference", "expectation") == "expectation":
        return expected(annotations, alpha)
    return chosen(annotations, alpha.argmax(dim=1))


# --- cells: x (rows, inputs) and a state of (rows, hidden) tensors give the next state ---------------


def advance(cell: Cell, x: Tensor, state: State) -> State:
    """One step of any cell."""
    return CELLS[type(cell)](cell, x, *state)


def sums(cell: Cell, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    """W x + U h + b of every gate, in the order of the blocks of W and U."""
    return (affine(cell.input_map, x) + F.linear(h, cell.hidden_map)).chunk(cell.gates, dim=1)


def vanilla(cell: VanillaCell, x: Tensor, h: Tensor) -> State:
    """Elman (1990): h = tanh(W x + U h + b)."""
    (h,) = sums(cell, x, h)
    return (tanh(h),)


def lstm(cell: LSTMCell, x: Tensor, h: Tensor, c: Tensor) -> State:
    """i, f, o = sigmoid(W x + U h + b), g = tanh(W x + U h + b) (1); c = f c + i g (2); h = o tanh(c) (3)."""
    i, f, g, o = sums(cell, x, h)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def peephole(cell: PeepholeLSTMCell, x: Tensor, h: Tensor, c: Tensor) -> State:
    """Gers & Schmidhuber (2000): i and f also see p c of the old c, o of the new one."""
    i, f, g, o = sums(cell, x, h)
    p_i, p_f, p_o = cell.peepholes
    c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * tanh(g)
    return sigmoid(o + p_o * c) * tanh(c), c


def coupled(cell: CoupledLSTMCell, x: Tensor, h: Tensor, c: Tensor) -> State:
    """Greff et al. (2015): c = f c + (1 - f) g, h = o tanh(c)."""
    f, g, o = sums(cell, x, h)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru(cell: GRUCell, x: Tensor, h: Tensor) -> State:
    """Cho et al. (2014): r, z = sigmoid(W x + U h + b), h = (1 - z) h + z n.

    n = tanh(W x + b + U (r h)) as published, or tanh(W x + b + r (U h + b')) with ``reset_after``.
    """
    sizes = (2 * cell.hidden_size, cell.hidden_size)  # r and z in one product, n apart
    x_gates, x_n = affine(cell.input_map, x).split(sizes, dim=1)
    U_gates, U_n = cell.hidden_map.split(sizes)
    r, z = sigmoid(x_gates + F.linear(h, U_gates)).chunk(2, dim=1)
    if cell.reset_after:
        n = tanh(x_n + r * (F.linear(h, U_n) + cell.candidate_bias))
    else:
        n = tanh(x_n + F.linear(r * h, U_n))
    return ((1 - z) * h + z * n,)


CELLS = {
    VanillaCell: vanilla,
    LSTMCell: lstm,
    PeepholeLSTMCell: peephole,
    CoupledLSTMCell: coupled,
    GRUCell: gru,
}

# --- the decoder -------------------------------------------------------------------------------------


def begin(decoder: Decoder, annotations: Tensor) -> State:
    """Section 3.1.2: h_0, and c_0 where there is one, are tanh(W mean_i a_i + b)."""
    return tanh(affine(decoder.init_state, annotations.mean(dim=1))).split(decoder.cell.hidden_size, dim=1)


def gate(decoder: Decoder, h: Tensor) -> Tensor | float:
    """Section 4.2.1: beta = sigmoid(w . h + b), ``(rows, 1)`` or ``(rows, features)``; 1 without a gate."""
    return 1.0 if decoder.gate is None else sigmoid(affine(decoder.gate, h))


def deep_output(decoder: Decoder, embedding: Tensor, h: Tensor, z: Tensor) -> Tensor:
    """Logits L_o tanh(E y + L_h h + L_z z) + b (7), or L_o h + b; the tanh is of the authors' code."""
    if decoder.deep_output:
        h = tanh(embedding + affine(decoder.hidden_output, h) + affine(decoder.context_output, z))
    return affine(decoder.word_output, h)


def step(
    decoder: Decoder, words: Tensor, state: State, annotations: Tensor, locations: Tensor | None = None
) -> tuple[Tensor, State, Tensor]:
    """From the previous words ``(rows,)``: the next logits, the next state, and alpha."""
    alpha = attend(decoder.attention, annotations, state[0])
    z = gate(decoder, state[0]) * look(decoder.attention, annotations, alpha, locations)
    embedding = F.embedding(words, decoder.embedding.weight)
    state = advance(decoder.cell, torch.cat([embedding, z], dim=1), state)
    return deep_output(decoder, embedding, state[0], z), state, alpha


def read(
    decoder: Decoder, annotations: Tensor, captions: Tensor, locations: Tensor | None = None
) -> Reading:
    """Teacher forcing: step t reads the word before and predicts ``captions[:, t]``, ``(rows, steps)``.

    It looks at ``locations[:, t]`` where they are given.
    """
    state, words = begin(decoder, annotations), torch.full_like(captions[:, 0], START)
    logits, alphas = [], []
    for t in range(captions.shape[1]):
        place = None if locations is None else locations[:, t]
        scored, state, alpha = step(decoder, words, state, annotations, place)
        logits.append(scored)
        alphas.append(alpha)
        words = captions[:, t]
    return Reading(torch.stack(logits, dim=1), torch.stack(alphas, dim=1))


def read_one(decoder: Decoder, annotations: Tensor, words: Sequence[int]) -> Reading:
    """:func:`read` of one caption of an image ``(locations, features)``, without the dimension of rows."""
    logits, alphas = read(decoder, annotations[None], torch.tensor([words]))
    return Reading(logits[0], alphas[0])


# --- training and search -----------------------------------------------------------------------------


def loss(decoder: Decoder, annotations: Tensor, images: list[list[list[int]]], penalty: float) -> Tensor:
    """-log p(y) + lambda sum_i (1 - sum_t alpha_ti)^2 (14), its mean over captions.

    Args:
        annotations: ``(images, locations, features)``.
        images: each image's captions as indices, each closed by ``<end>``.
        penalty: lambda.
    """
    device, captions = annotations.device, [caption for image in images for caption in image]
    owner = torch.tensor([i for i, image in enumerate(images) for _ in image], device=device)
    longest = max(map(len, captions))
    targets = torch.tensor([c + [PAD] * (longest - len(c)) for c in captions], device=device)
    logits, alphas = read(decoder, annotations[owner], targets)
    nll = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum")
    coverage = (alphas * (targets != PAD).unsqueeze(2)).sum(dim=1)
    return (nll + penalty * (1 - coverage).square().sum()) / len(captions)


def expected_log_likelihood(decoder: Decoder, annotations: Tensor, words: Sequence[int]) -> Tensor:
    """L_s = sum_s p(s | a) log p(y | s, a) (10) of an image ``(locations, features)``, s all paths of looks."""
    paths = torch.tensor(list(product(range(len(annotations)), repeat=len(words))))
    captions = torch.tensor([words]).expand(len(paths), -1)
    logits, alphas = read(decoder, annotations.expand(len(paths), -1, -1), captions, paths)
    log_likelihood = logits.log_softmax(dim=2).gather(2, captions.unsqueeze(2)).sum(dim=(1, 2))
    probability = alphas.gather(2, paths.unsqueeze(2)).prod(dim=1).squeeze(1)
    return probability @ log_likelihood


@torch.no_grad()
def beam_search(
    decoder: Decoder, annotations: Tensor, beam_size: int, max_length: int, length_normalization: float
) -> list[int]:
    """The best caption of one image, annotations ``(locations, features)``, as word indices."""
    rows = annotations.expand(beam_size, *annotations.shape)
    state = begin(decoder, rows)
    words = torch.full((beam_size,), START, device=rows.device)
    sentences, totals = words[:, None][:, :0], rows.new_zeros(beam_size, 1)
    finished: list[tuple[float, list[int]]] = []
    for t in range(max_length):
        logits, state, _ = step(decoder, words, state, rows)
        log_probs = logits.log_softmax(dim=1)
        log_probs[:, [PAD, START, UNKNOWN]] = float("-inf")
        if t == 0:
            log_probs[:, END] = float("-inf")
        totals = totals + log_probs
        candidates = totals[0] if t == 0 else totals.flatten()  # all beams are alike at first
        best, place = candidates.topk(len(rows))
        beam, words = place // logits.shape[1], place % logits.shape[1]
        sentences = torch.cat([sentences[beam], words[:, None]], dim=1)
        going = words != END
        for i in (~going).nonzero().flatten().tolist():
            finished.append((best[i].item() / (t + 1) ** length_normalization, sentences[i, :-1].tolist()))
        if not going.any():
            break
        words, sentences, totals = words[going], sentences[going], best[going][:, None]
        state = tuple(part[beam[going]] for part in state)
        rows = rows[: len(words)]
    return max(finished)[1] if finished else sentences[0].tolist()
