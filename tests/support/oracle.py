"""Show, Attend and Tell straight from its equations: one caption, one step, one location at a time."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import torch

from captioner.vocabulary import START

sigmoid, tanh = torch.sigmoid, torch.tanh


class Reading(NamedTuple):
    logits: torch.Tensor  # (steps, vocabulary)
    alphas: torch.Tensor  # (steps, locations)


def attend(attention, annotations, h):
    """alpha = softmax(v . tanh(W_a a_i + b + W_h h)) of one image's annotations."""
    keys = [attention.annotation_map.weight @ a + attention.annotation_map.bias for a in annotations]
    scores = [attention.score @ tanh(key + attention.hidden_map @ h) for key in keys]
    return torch.stack(scores).softmax(0)


def advance(cell, x, state):
    """One step of any cell, gate by gate; blocks of rows in the order that the cell documents."""
    h, *memory = state
    blocks = cell.gates
    W, U = cell.input_map.weight.chunk(blocks), cell.hidden_map.chunk(blocks)
    b = cell.input_map.bias.chunk(blocks)
    pre = [W[k] @ x + U[k] @ h + b[k] for k in range(blocks)]
    kind = type(cell).__name__
    if kind == "VanillaCell":
        return (tanh(pre[0]),)
    if kind == "LSTMCell":
        (c,) = memory
        i, f, g, o = sigmoid(pre[0]), sigmoid(pre[1]), tanh(pre[2]), sigmoid(pre[3])
        c = f * c + i * g
        return o * tanh(c), c
    if kind == "PeepholeLSTMCell":
        (c,) = memory
        p_i, p_f, p_o = cell.peepholes
        i, f, g = sigmoid(pre[0] + p_i * c), sigmoid(pre[1] + p_f * c), tanh(pre[2])
        c = f * c + i * g
        return sigmoid(pre[3] + p_o * c) * tanh(c), c
    if kind == "CoupledLSTMCell":
        (c,) = memory
        f, g, o = sigmoid(pre[0]), tanh(pre[1]), sigmoid(pre[2])
        c = f * c + (1 - f) * g
        return o * tanh(c), c
    assert kind == "GRUCell"
    r, z = sigmoid(pre[0]), sigmoid(pre[1])
    if cell.reset_after:
        n = tanh(W[2] @ x + b[2] + r * (U[2] @ h + cell.candidate_bias))
    else:
        n = tanh(W[2] @ x + b[2] + U[2] @ (r * h))
    return ((1 - z) * h + z * n,)


def read(decoder, annotations, words, locations=None):
    """Logits and attention when one image's ``words`` are read: step t predicts ``words[t]``.

    Hard attention takes its most likely location, or ``locations[t]`` where they are given.
    """
    mean = sum(annotations) / len(annotations)
    initial = tanh(decoder.init_state.weight @ mean + decoder.init_state.bias)
    state = initial.chunk(decoder.cell.states)
    logits, alphas = [], []
    for t, previous in enumerate([START, *words[:-1]]):
        h = state[0]
        embedding = decoder.embedding.weight[previous]
        alpha = attend(decoder.attention, annotations, h)
        if locations is not None:
            z = annotations[locations[t]]
        elif decoder.attention.look.inference in (None, "expectation"):
            z = sum(weight * a for weight, a in zip(alpha, annotations))
        else:
            z = annotations[alpha.argmax()]
        if decoder.gate is not None:
            z = sigmoid(decoder.gate.weight @ h + decoder.gate.bias) * z
        state = advance(decoder.cell, torch.cat([embedding, z]), state)
        out = state[0]
        if decoder.deep_output:
            of_hidden = decoder.hidden_output.weight @ out + decoder.hidden_output.bias
            out = tanh(embedding + of_hidden + decoder.context_output.weight @ z)
        logits.append(decoder.word_output.weight @ out + decoder.word_output.bias)
        alphas.append(alpha)
    return Reading(torch.stack(logits), torch.stack(alphas))


def expected_log_likelihood(decoder, annotations, text):
    """Sum over all paths of locations of p(path) log p(text | path)."""
    total = 0
    for path in product(range(len(annotations)), repeat=len(text)):
        reading = read(decoder, annotations, text, path)
        log_likelihood = sum(reading.logits.log_softmax(-1)[t, w] for t, w in enumerate(text))
        probability = torch.stack([reading.alphas[t, place] for t, place in enumerate(path)]).prod()
        total = total + probability * log_likelihood
    return total
