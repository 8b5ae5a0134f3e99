"""Whether exported programs are the model: compared with it on photos, before anything is published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

import torch
from torch import Tensor

from captioner.config.search import SearchConfig
from captioner.data.photos.preprocess import Preprocess
from captioner.decoding.search import allowed, search
from captioner.errors import CaptionerError
from captioner.export.exported import Exported
from captioner.model.captioner import Captioner
from captioner.model.rows import Rows
from captioner.vocabulary import START

PHOTOS = "web/photos"  # in the public domain, and installed
STEPS = 5  # words that both are fed; each step's error reaches the next
BRANCHES = 2  # rows of an image, which go on with different words
LIMITS = {"annotations": 1e-3, "state": 1e-3, "alpha": 1e-3, "beta": 1e-3, "gates": 1e-3, "log_probs": 5e-3}


@dataclass(frozen=True)
class Parity:
    """How far programs and model are apart.

    Attributes:
        differences: the largest of each result, that of the annotations relative to their largest value,
            log probabilities in nats.
        captions: what the programs say of each photo, in words' indices, beam search's best.
        same: of how many photos both say the same.
    """

    differences: dict[str, float]
    captions: list[tuple[int, ...]]
    same: int


def example_photos() -> dict[str, bytes]:
    """The photos that come with captioner, by name."""
    items = files("captioner").joinpath(PHOTOS).iterdir()
    found = {item.name: item.read_bytes() for item in items if item.name.endswith(".jpg")}
    return dict(sorted(found.items()))


def photo_pixels(preprocess: Preprocess) -> Tensor:
    """The photos that come with captioner as a model sees them, ``(photos, 3, S, S)`` uint8."""
    views = map(preprocess.view, example_photos().values())
    return torch.stack([preprocess.pixels(view.square) for view in views])


@torch.inference_mode()
def compare(model: Captioner, exported: Exported, pixels: Tensor, options: SearchConfig) -> Parity:
    """Compare on photos ``(photos, 3, S, S)``, in float32 on the CPU.

    The annotations of all at once and of one alone; then steps from the model's own annotations, of all
    locations and of all but one, with several rows to an image.
    """
    annotations = model.encoder(pixels)
    size = annotations.abs().max()
    found = exported.encode(pixels)
    differences = {"annotations": max(
        float((found - annotations).abs().max() / size),
        float((exported.encode(pixels[:1]) - annotations[:1]).abs().max() / size),
    )}  # fmt: skip
    for seen in (annotations, annotations[:, :-1], annotations[:1]):
        if seen.shape[1]:
            for name, difference in _step_differences(model, exported, seen):
                differences[name] = max(difference, differences.get(name, 0.0))
    wanted = [hypotheses[0].words for hypotheses in search(model.decoder, annotations, options)]
    said = [hypotheses[0].words for hypotheses in search(exported, found, options)]
    return Parity(differences, said, sum(a == b for a, b in zip(wanted, said)))


def check_parity(parity: Parity, what: str) -> None:
    """Refuse programs that are not the model.

    Raises:
        CaptionerError: names the result that is furthest from the model's.
    """
    shares = {name: value / LIMITS[name] for name, value in parity.differences.items()}
    worst = max(shares, key=lambda name: shares[name] if shares[name] == shares[name] else float("inf"))
    if not shares[worst] <= 1:
        raise CaptionerError(
            f"export: the {what} differs from the model in its {worst}, by {parity.differences[worst]:.2g} "
            f"where {LIMITS[worst]:g} is allowed; nothing was written"
        )


def _step_differences(
    model: Captioner, exported: Exported, annotations: Tensor
) -> Iterator[tuple[str, float]]:
    """The largest differences at each of a few steps, by what differs."""
    decoder = model.decoder
    memory, initial = decoder.begin(annotations)
    theirs, their_initial = exported.begin(annotations)
    rows = Rows.full(len(annotations), BRANCHES, annotations.device)
    state = tuple(part[rows.owner] for part in initial)
    their_state = tuple(part[rows.owner] for part in their_initial)
    words = torch.full_like(rows.owner, START)
    yield "state", _largest(state, their_state)
    for t in range(STEPS):
        before = state
        log_probs, step, state = decoder.predict(words, state, memory, rows)
        named, their_state = exported.step(words, their_state, theirs, rows.owner)
        yield "state", _largest(state, their_state)
        yield "log_probs", _largest([log_probs], [named["log_probs"]])
        yield "alpha", _largest([step.alpha], [named["alpha"]])
        if step.beta is not None:
            yield "beta", _largest([step.beta], [named["beta"]])
        gates = decoder.gate_values(step, before)
        if gates:
            means = torch.stack([gate.mean(dim=-1) for gate in gates.values()], dim=-1)
            yield "gates", _largest([means], [named["gates"]])
        best = allowed(log_probs, words.new_zeros(len(words), 0), t, SearchConfig())
        best = best.topk(min(BRANCHES, best.shape[1]), dim=-1).indices
        words = best.gather(1, (rows.cell % best.shape[1])[:, None]).squeeze(1)


def _largest(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))
