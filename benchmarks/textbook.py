"""Show, Attend and Tell the way textbooks and most implementations write it: what ours is measured against.

Clear and slow: every caption is a row with its own copy of the image's annotations, the annotations are
projected again at every step, logits are computed for padding too, and beam search takes one image at a
time. It reads the weights of a ``captioner`` decoder, so both compute the same function; the parity test
holds them together.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from captioner.model.decoder import Decoder, Step
from captioner.vocabulary import END, PAD, START, UNKNOWN


def step(
    decoder: Decoder, words: Tensor, state: tuple[Tensor, ...], annotations: Tensor
) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
    """One word further: words ``(rows,)`` and annotations ``(rows, locations, features)``.

    Returns:
        Logits ``(rows, vocabulary)``, the next state, and alpha ``(rows, locations)``.
    """
    attention, hidden = decoder.attention, state[0]
    keys = attention.annotation_map(annotations)
    query = F.linear(hidden, attention.hidden_map)
    scores = torch.tanh(keys + query.unsqueeze(1)) @ attention.score
    alpha = scores.softmax(dim=1)
    context = (alpha.unsqueeze(2) * annotations).sum(dim=1)
    if decoder.gate is not None:
        context = torch.sigmoid(decoder.gate(hidden)) * context
    embedding = decoder.embedding(words)
    state = decoder.cell(torch.cat([embedding, context], dim=1), state)
    return decoder.logits(Step(embedding, state[0], context, alpha, None)), state, alpha


def loss(decoder: Decoder, annotations: Tensor, images: list[list[list[int]]], penalty: float) -> Tensor:
    """Mean over captions of the negative log likelihood and the attention penalty.

    Args:
        annotations: ``(images, locations, features)``.
        images: each image's captions as indices, each closed by ``<end>``.
        penalty: lambda.
    """
    captions = [caption for image in images for caption in image]
    owner = torch.tensor([i for i, image in enumerate(images) for _ in image], device=annotations.device)
    repeated = annotations[owner]
    longest = max(map(len, captions))
    targets = torch.tensor([c + [PAD] * (longest - len(c)) for c in captions], device=annotations.device)
    mask = targets != PAD
    state = torch.tanh(decoder.init_state(repeated.mean(dim=1))).split(decoder.cell.hidden_size, dim=1)
    words = torch.full_like(targets[:, 0], START)
    all_logits, alphas = [], []
    for t in range(longest):
        logits, state, alpha = step(decoder, words, state, repeated)
        all_logits.append(logits)
        alphas.append(alpha * mask[:, t : t + 1])
        words = targets[:, t]
    logits = torch.stack(all_logits, dim=1)
    nll = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum")
    coverage = torch.stack(alphas, dim=1).sum(dim=1)
    return (nll + penalty * (1 - coverage).square().sum()) / len(captions)


@torch.no_grad()
def beam_search(
    decoder: Decoder, annotations: Tensor, beam_size: int, max_length: int, length_normalization: float
) -> list[int]:
    """The best caption of one image, annotations ``(locations, features)``, as word indices."""
    rows = annotations.expand(beam_size, *annotations.shape)
    state = torch.tanh(decoder.init_state(rows.mean(dim=1))).split(decoder.cell.hidden_size, dim=1)
    words = torch.full((beam_size,), START)
    sentences = torch.empty(beam_size, 0, dtype=torch.long)
    totals = torch.zeros(beam_size, 1)
    finished: list[tuple[float, list[int]]] = []
    room = beam_size
    for t in range(max_length):
        logits, state, _ = step(decoder, words, state, rows)
        log_probs = logits.log_softmax(dim=1)
        log_probs[:, [PAD, START, UNKNOWN]] = float("-inf")
        if t == 0:
            log_probs[:, END] = float("-inf")
        totals = totals + log_probs
        candidates = totals[0] if t == 0 else totals.flatten()  # all beams are alike at first
        best, place = candidates.topk(room)
        beam, words = place // logits.shape[1], place % logits.shape[1]
        sentences = torch.cat([sentences[beam], words[:, None]], dim=1)
        going = words != END
        for i in (~going).nonzero().flatten().tolist():
            score = best[i].item() / (t + 1) ** length_normalization
            finished.append((score, sentences[i, :-1].tolist()))
        room = int(going.sum())
        if room == 0:
            break
        words, sentences, totals = words[going], sentences[going], best[going][:, None]
        state = tuple(part[beam[going]] for part in state)
        rows = rows[:room]
    if not finished:
        return sentences[0].tolist()
    return max(finished)[1]
