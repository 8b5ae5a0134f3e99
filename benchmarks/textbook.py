"""Show, Attend and Tell (Xu et al. 2015) as the paper prints it; numbers in parentheses are its equations.

Ours is measured and tested against it. It is written as most implementations are: every caption is a row
with its own copy of the image's annotations, the annotations are projected again at every step, logits are
computed for padding too, and beam search takes one image at a time. It reads the parameters of a decoder of
``captioner`` and calls none of its functions. Nothing is dropped out, and no location is drawn.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from textbook_cells import State, advance, affine
from textbook_sparse import weights
from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

from captioner.model.attention import Attention
from captioner.model.decoder import Decoder
from captioner.vocabulary import END, PAD, START, UNKNOWN


class Reading(NamedTuple):
    logits: Tensor  # (rows, steps, vocabulary)
    alphas: Tensor  # (rows, steps, locations)


def scores(attention: Attention, annotations: Tensor, h: Tensor) -> Tensor:
    """e_i = f_att(a_i, h) (4) of annotations ``(rows, locations, features)``: ``(rows, locations)``.

    Additive (Bahdanau et al. 2015): v . tanh(W_a a_i + b + W_h h).
    Multiplicative (Luong et al. 2015, scaled): h . W_a a_i / sqrt(hidden size).
    """
    scored = annotations[..., -attention.local :]  # all of them where that is 0
    return scores_of_keys(attention, affine(attention.annotation_map, scored), h)


def scores_of_keys(attention: Attention, keys: Tensor, h: Tensor) -> Tensor:
    if hasattr(attention, "hidden_map"):
        return tanh(keys + F.linear(h, attention.hidden_map).unsqueeze(1)) @ attention.score
    return (keys @ h.unsqueeze(2)).squeeze(2) / h.shape[1] ** 0.5


def attend(attention: Attention, annotations: Tensor, h: Tensor) -> Tensor:
    """alpha = softmax(e) (5), or a sparse map of e, ``(rows, locations)``."""
    return normalized(attention, scores(attention, annotations, h))


def normalized(attention: Attention, e: Tensor) -> Tensor:
    """Weights of scores, ``(rows, locations)``."""
    function = getattr(attention.normalize, "func", attention.normalize)
    return weights(function.__name__, e)


def look(attention: Attention, annotations: Tensor, alpha: Tensor, locations: Tensor | None = None) -> Tensor:
    """z = phi({a_i}, {alpha_i}) (6), ``(rows, features)``.

    Soft attention, and hard attention in expectation: z = sum_i alpha_i a_i (13).
    Hard attention: z = a_i (9) of the likeliest location, or of ``locations`` ``(rows,)``.
    """
    if locations is None and attention.look.inference in (None, "expectation"):
        return (alpha.unsqueeze(2) * annotations).sum(dim=1)
    locations = alpha.argmax(dim=1) if locations is None else locations
    return annotations[torch.arange(len(alpha), device=alpha.device), locations]


def begin(decoder: Decoder, annotations: Tensor) -> State:
    """Section 3.1.2: h_0, and c_0 where there is one, are tanh(W mean_i a_i + b)."""
    return tanh(affine(decoder.init_state, annotations.mean(dim=1))).split(decoder.cell.hidden_size, dim=1)


def gate(decoder: Decoder, h: Tensor) -> Tensor | float:
    """Section 4.2.1: beta = sigmoid(w . h + b), ``(rows, 1)`` or ``(rows, features)``; 1 without a gate."""
    return 1.0 if decoder.gate is None else sigmoid(affine(decoder.gate, h))


def after_step(
    decoder: Decoder,
    annotations: Tensor,
    embedding: Tensor,
    x: Tensor,
    before: State,
    after: State,
    locations: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The next logits, and alpha, of a look with the state after the cell has read x (Lu et al. 2017)."""
    h = after[0]
    alpha = attend(decoder.attention, annotations, h)
    z, beta = look(decoder.attention, annotations, alpha, locations), gate(decoder, h)
    if decoder.sentinel is None:
        return deep_output(decoder, embedding, h, beta * z), alpha
    s, beta = sentinel(decoder, annotations, x, before, after)
    remembered = F.linear(beta * s, decoder.sentinel_output.weight)
    return deep_output(decoder, embedding + remembered, h, (1 - beta) * z), alpha


def sentinel(
    decoder: Decoder, annotations: Tensor, x: Tensor, before: State, after: State
) -> tuple[Tensor, Tensor]:
    """s = sigmoid(W_x x + W_h h_{t-1}) tanh(c_t), and its weight among the locations, ``(rows, 1)``."""
    own, attention, h = decoder.sentinel, decoder.attention, after[0]
    s = sigmoid(affine(own.input_map, x) + F.linear(before[0], own.hidden_map)) * tanh(after[1])
    of_s = scores_of_keys(attention, affine(own.key_map, s).unsqueeze(1), h)
    e = torch.cat([scores(attention, annotations, h), of_s], dim=1)
    return s, normalized(attention, e)[:, -1:]


def deep_output(decoder: Decoder, embedding: Tensor, h: Tensor, z: Tensor) -> Tensor:
    """Logits L_o tanh(E y + L_h h + L_z z) + b (7), or L_o h + b; the tanh is of the authors' code."""
    if decoder.deep_output:
        h = tanh(embedding + affine(decoder.hidden_output, h) + affine(decoder.context_output, z))
    return affine(decoder.word_output, h)


def step(
    decoder: Decoder, words: Tensor, state: State, annotations: Tensor, locations: Tensor | None = None
) -> tuple[Tensor, State, Tensor]:
    """From the previous words ``(rows,)``: the next logits, the next state, and alpha."""
    embedding = F.embedding(words, decoder.embedding.weight)
    if decoder.attention.after_step:  # Lu et al. (2017)
        before, x = state, torch.cat([embedding, annotations.mean(dim=1)], dim=1)
        state = advance(decoder.cell, x, before)
        logits, alpha = after_step(decoder, annotations, embedding, x, before, state, locations)
        return logits, state, alpha
    query = torch.cat([state[0], embedding], dim=1) if decoder.attention.sees_word else state[0]
    alpha = attend(decoder.attention, annotations, query)
    z = gate(decoder, state[0]) * look(decoder.attention, annotations, alpha, locations)
    state = advance(decoder.cell, torch.cat([embedding, z], dim=1), state)
    return deep_output(decoder, embedding, state[0], z), state, alpha


def read(decoder: Decoder, annotations: Tensor, captions: Tensor, locations: Tensor | None = None) -> Reading:
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
