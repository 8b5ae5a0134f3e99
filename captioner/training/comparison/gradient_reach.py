"""How far back through a decoder's steps the gradient of a word's loss reaches.

Bengio et al. (1994) showed that what a recurrent network did k steps ago moves today's loss through a
product of k Jacobians, which usually vanishes or explodes; Pascanu et al. (2013) wrote it as

    dL_T / ds_{T-k} = dL_T / ds_T  .  prod_{t = T-k+1}^{T} ds_t / ds_{t-1}

with s_t the state after step t. Here that product is measured in a trained decoder, on captions that it
was not trained on. L_T is the negative log likelihood of a caption's word number 16 alone (T = 15, counted
from 0), teacher-forced and without dropout, and k goes from 0 to 15, where s_0 is the state after the
first word was read.

The state is all that a cell carries on: h alone, or h and the memory c together, taken as coordinates of
their own (an LSTM's c exists to carry the gradient, so h alone would understate it). All paths from
step to step count: the recurrent weights, and that h determines where the decoder looks next
and how far its gate opens.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from captioner.features.captioned import CaptionedSplit
from captioner.model.captioner import Captioner
from captioner.model.decoder import Decoder
from captioner.model.rows import Captions
from captioner.vocabulary import START

STEPS = 15


class Reach(NamedTuple):
    """What :func:`gradient_reach` found.

    Attributes:
        relative: norm at k = 0 to 15 steps back, relative to k = 0; empty if no caption is long enough.
        captions: how many were averaged over.
    """

    relative: tuple[float, ...]
    captions: int


def gradient_reach(
    model: Captioner, split: CaptionedSplit, device: torch.device, batch_size: int = 32
) -> Reach:
    """The mean over captions of |dL_T / ds_{T-k}|, divided by the mean over captions of |dL_T / ds_T|.

    Norms are Euclidean and averaged before dividing, so a word that is predicted with certainty, and has
    no gradient to speak of at any k, weighs as little as it does in training. All captions of 16 words and
    more count.

    Args:
        batch_size: images.
    """
    model.eval()
    long = [[c[: STEPS + 1] for c in of_image if len(c) > STEPS + 1] for of_image in split.captions]
    images = [i for i, of_image in enumerate(long) if of_image]
    norms = []
    for start in range(0, len(images), batch_size):
        rows = images[start : start + batch_size]
        with torch.no_grad():
            annotations = model.encoder.tail(split.features(rows).to(device))
        batch = Captions.build([long[i] for i in rows]).to(device)
        norms.append(gradient_norms(model.decoder, annotations, batch).cpu())
    if not norms:
        return Reach((), 0)
    each = torch.cat(norms).double()
    mean = each.mean(dim=0)
    return Reach(tuple((mean / mean[0]).tolist()), len(each))


def gradient_norms(decoder: Decoder, annotations: Tensor, captions: Captions) -> Tensor:
    """|dL_T / ds_{T-k}| for k = 0 to T, where T is the last step of captions of equal length.

    Args:
        annotations: ``(images, locations, features)``.

    Returns:
        ``(captions, T + 1)``.
    """
    with torch.no_grad():
        memory, state = decoder.begin_captions(annotations, captions)
        memory = memory._replace(linear=F.linear)  # no gradients of weights are needed
    start = torch.full_like(captions.words[:, :1], START)
    read = torch.cat([start, captions.words[:, :-1]], dim=1)
    states = []
    with torch.enable_grad():
        for t in range(read.shape[1]):
            before = state
            step, state = decoder.step(read[:, t], state, memory, captions.rows(t))
            # h was computed from c; copies are coordinates of their own, which only what follows reads
            state = tuple(part.clone() for part in state)
            states.append(state)
        step = step._replace(hidden=state[0])
        if decoder.attention.after_step:
            step = decoder.look_after(step.embedding, before, state, memory, captions.rows(t))
        logits = decoder.logits(step)
        loss = F.cross_entropy(logits, captions.words[:, -1], reduction="sum")
        parts = [part for state in states for part in state]
        gradients = torch.autograd.grad(loss, parts, allow_unused=True)  # nothing reads the last c
    squares = [g.square().sum(dim=1) if g is not None else loss.new_zeros(len(captions)) for g in gradients]
    of_step = torch.stack(squares, dim=1).unflatten(1, (len(states), -1)).sum(dim=2)
    return of_step.sqrt().flip(1)
