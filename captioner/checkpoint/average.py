"""One model from several that were trained on from the same start: the mean of their weights.

Model soups (Wortsman et al. 2022). It captions in the time of one model, where an ensemble takes that of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from captioner.checkpoint.file import Checkpoint
from captioner.config.declare import as_typed
from captioner.config.model import computed_with
from captioner.errors import CaptionerError, check_range


def average(members: Sequence[Checkpoint], shares: Sequence[float] | None = None) -> Checkpoint:
    """The weighted mean of the members' weights, with the first one's configuration and no scores.

    Only models whose weights have a past in common have anything to say in their mean: several
    self-critical runs from one model, or that model and such a run.

    Args:
        members: two or more models with the same vocabulary; the first one's weights are overwritten.
        shares: how much each counts, of whatever sum; ``None``: all alike.

    Raises:
        CaptionerError: fewer than two members, members of different shapes or for different images, not
            a share for each, a negative share, or none above zero.
    """
    if len(members) < 2:
        raise CaptionerError("average: the mean of one model is that model; name two or more")
    shares = [1.0] * len(members) if shares is None else list(shares)
    if len(shares) != len(members):
        raise CaptionerError(f"weights: {len(shares)} of them for {len(members)} models")
    for share in shares:
        check_range(share, "weights", low=0)
    if not 0 < sum(shares) < float("inf"):
        raise CaptionerError("weights: their sum must be a number above zero")
    first = members[0]
    for number, member in enumerate(members[1:], 2):
        if difference := _difference(first, member):
            raise CaptionerError(f"average: model {number} has {difference} than model 1")
    total, states = sum(shares), [member.model.state_dict() for member in members]
    mean = dict(states[0])
    for key, tensor in mean.items():
        if tensor.is_floating_point():  # not the counters of batch normalization
            terms = [share / total * state[key].double() for share, state in zip(shares, states)]
            mean[key] = torch.stack(terms).sum(dim=0)
    first.model.load_state_dict(mean)
    return replace(first, scores={}, protocol="", digest="", grounding={})


def _difference(one: Checkpoint, other: Checkpoint) -> str | None:
    """What keeps two models' weights from having a mean that means anything."""
    form, others = computed_with(one.config), computed_with(other.config)
    for key in [*form, *others]:
        if (value := others.get(key)) != form.get(key) and key != "attention.inference":
            return f"another {key}, {as_typed(value)},"
    shapes, present = ({k: v.shape for k, v in c.model.state_dict().items()} for c in (one, other))
    return None if shapes == present else "weights of other shapes"
