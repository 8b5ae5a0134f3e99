"""Free-running decoding: greedy, beam search and sampling, batched over images and hypotheses.

1. Every image starts with one live hypothesis, or with several when it is sampled from.
2. A step feeds each live hypothesis its last word and gets the log probability of every next word.
3. The strategy picks what continues: each hypothesis's best word (greedy), a drawn one (sample), or an
   image's best extensions over all its hypotheses (beam).
4. Extensions by <end> are set aside; in beam search each leaves one place less in its image's beam.
5. An image without live hypotheses leaves the batch. Those alive at the longest length are kept as
   fallback, so every image has a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from captioner.config.declare import check
from captioner.config.search import SearchConfig
from captioner.decoding.hypotheses import History, Hypothesis, SearchStep
from captioner.model.cells import State
from captioner.model.rows import Rows
from captioner.model.step import Step
from captioner.vocabulary import END, PAD, START, UNKNOWN

NEVER = float("-inf")


class Writer(Protocol):
    """What search asks of a :class:`Decoder`, or of several in an :class:`Ensemble`."""

    def begin(self, annotations: Any, generator: torch.Generator) -> tuple[Any, State]:
        """A memory from which ``select(images)`` takes some, and every image's initial state."""

    def predict(self, words: Tensor, state: State, memory: Any, rows: Rows) -> tuple[Tensor, Step, State]:
        """Log probabilities of every next word, the step that they come from, and the next state."""


class Choice(NamedTuple):
    """Extensions that a strategy picked: image after image, the best of an image first."""

    parent: Tensor  # the live row that each continues
    word: Tensor
    log_prob: Tensor  # of the word alone


@torch.inference_mode()
def search(
    decoder: Writer,
    annotations: Tensor | Sequence[Tensor],
    options: SearchConfig,
    attention: bool = False,
    copies: int = 1,
) -> list[list[Hypothesis]]:
    """Caption a batch of images.

    Args:
        annotations: ``(images, locations, features)``; for an ensemble one such tensor per member.
        attention: whether hypotheses bring their attention weights; memory then grows with length.
        copies: hypotheses that every image starts with, for several samples per image.

    Returns:
        Every image's hypotheses, the best first; never none.
    """
    check(options, "search")
    first = annotations if isinstance(annotations, Tensor) else annotations[0]
    images, device = len(first), first.device
    generator = torch.Generator(device).manual_seed(options.seed)
    memory, state = decoder.begin(annotations, generator)
    batch_image = list(range(images))  # image of the batch, for each image of the memory
    image = torch.arange(images, device=device).repeat_interleave(copies)  # of each live row
    state = tuple(part[image] for part in state)
    words = torch.full_like(image, START)
    total = torch.zeros(len(image), device=device)
    room = torch.full((images,), options.beam_size, device=device)
    said = image.new_zeros(len(image), 0)
    history = History(options.length_normalization)
    found: list[list[Hypothesis]] = [[] for _ in range(images)]

    for step in range(options.max_length):
        rows = _rows(image, len(batch_image))
        log_probs, out, state = decoder.predict(words, state, memory, rows)
        log_probs = allowed(log_probs, said, step, options)
        if options.strategy == "beam":
            choice = _best_extensions(log_probs, total, rows, room, options.beam_size)
        elif options.strategy == "greedy":
            choice = _each(log_probs, log_probs.argmax(dim=-1))
        else:
            choice = _each(log_probs, _draw(log_probs, options, generator))

        image, total = image[choice.parent], total[choice.parent] + choice.log_prob
        ends = choice.word == END
        survivors = (~ends).nonzero().squeeze(-1)
        alpha = out.alpha.float().cpu() if attention else None
        beta = out.beta.float().cpu() if attention and out.beta is not None else None
        chosen = (choice.parent.tolist(), choice.word.tolist(), choice.log_prob.tolist())
        history.steps.append(SearchStep(*chosen, survivors.tolist(), alpha, beta))
        for i in ends.nonzero().squeeze(-1).tolist():
            found[batch_image[int(image[i])]].append(history.read(step, i, finished=True))
        room = room - torch.bincount(image[ends], minlength=len(room))

        parent, words = choice.parent[survivors], choice.word[survivors]
        image, total = image[survivors], total[survivors]
        state = tuple(part[parent] for part in state)
        if options.block_ngrams:
            said = torch.cat([said[parent], words[:, None]], dim=1)
        if not len(survivors):
            break
        left, renumbered = image.unique_consecutive(return_inverse=True)
        if len(left) < 0.75 * len(batch_image):
            memory, image, room = memory.select(left), renumbered, room[left]
            batch_image = [batch_image[i] for i in left.tolist()]

    for owner, i in zip(image.tolist(), history.steps[-1].survivors):
        found[batch_image[owner]].append(history.read(step, i, finished=False))
    for hypotheses in found:
        hypotheses.sort(key=lambda h: (not h.finished, -h.score))
    return found


def forbidden(step: int, vocabulary_size: int, options: SearchConfig) -> list[int]:
    """Words that are never said at a step: specials, and the end of an empty caption."""
    words = [PAD, START] if options.allow_unknown else [PAD, START, UNKNOWN]
    return [*words, END] if step == 0 and vocabulary_size > UNKNOWN + 1 else words


def _rows(image: Tensor, images: int) -> Rows:
    """Live hypotheses as rows of their images; ``image`` never falls."""
    counts = torch.bincount(image, minlength=images)
    rank = torch.arange(len(image), device=image.device) - (counts.cumsum(0) - counts)[image]
    return Rows.of(image, rank, images, int(counts.max()))


def allowed(log_probs: Tensor, said: Tensor, step: int, options: SearchConfig) -> Tensor:
    """Rule out what must not be said next, in place: specials, an empty caption, repeated n-grams.

    Args:
        log_probs: of every word, ``(rows, vocabulary)``.
        said: the words of each row so far; read only where n-grams are blocked.
        step: how many words were said.
    """
    log_probs[:, forbidden(step, log_probs.shape[1], options)] = NEVER
    size = options.block_ngrams
    if size and said.shape[1] >= size:
        grams = said.unfold(1, size, 1)  # (rows, grams, size)
        tail = said[:, said.shape[1] - size + 1 :]
        row, gram = (grams[:, :, :-1] == tail[:, None]).all(-1).nonzero(as_tuple=True)
        kept = log_probs[:, END].clone()
        log_probs[row, grams[row, gram, -1]] = NEVER
        log_probs[:, END] = kept  # whatever is blocked, a caption may end
    return log_probs


def _each(log_probs: Tensor, word: Tensor) -> Choice:
    """Every row continues with one word."""
    parent = torch.arange(len(word), device=word.device)
    return Choice(parent, word, log_probs.gather(1, word[:, None]).squeeze(1))


def _best_extensions(log_probs: Tensor, total: Tensor, rows: Rows, room: Tensor, beam_size: int) -> Choice:
    """An image's best extensions over all its live rows, as many as its beam has room for."""
    count = min(beam_size, log_probs.shape[1])
    best, word = _top(log_probs, count)  # an image's best are among its rows' best
    totals = best.new_full((rows.images * rows.width, count), NEVER)
    totals[rows.cell] = total[:, None] + best
    row_at = rows.cell.new_zeros(rows.images * rows.width)
    row_at[rows.cell] = torch.arange(len(rows.cell), device=row_at.device)
    totals = totals.view(rows.images, -1)
    totals, place = totals.topk(min(beam_size, totals.shape[1]), dim=1)
    rank = torch.arange(totals.shape[1], device=totals.device)
    image, rank = ((rank < room[:, None]) & ~totals.isneginf()).nonzero(as_tuple=True)
    place = place[image, rank]
    parent, nth = row_at[image * rows.width + place // count], place % count
    return Choice(parent, word[parent, nth], best[parent, nth])


def _top(values: Tensor, count: int, width: int = 64) -> tuple[Tensor, Tensor]:
    """``values.topk(count)`` of every row: the largest are in the blocks with the largest maxima."""
    whole = values.shape[1] - values.shape[1] % width
    if whole < 2 * count * width:
        best, place = values.topk(count, dim=1)
        return best, place
    block = values[:, :whole].unflatten(1, (-1, width)).amax(-1).topk(count, dim=1).indices
    columns = torch.arange(values.shape[1], device=values.device)
    chosen = (block[:, :, None] * width + columns[:width]).flatten(1)
    chosen = torch.cat([chosen, columns[whole:].expand(len(values), -1)], dim=1)
    best, place = values.gather(1, chosen).topk(count, dim=1)
    return best, chosen.gather(1, place)


def _draw(log_probs: Tensor, options: SearchConfig, generator: torch.Generator) -> Tensor:
    """A word per row from the tempered distribution, cut to its top k and to its nucleus (top p)."""
    scaled = log_probs / options.temperature
    if not options.top_k and options.top_p == 1:
        return torch.multinomial(scaled.softmax(dim=-1), 1, generator=generator).squeeze(1)
    scaled, word = scaled.sort(dim=-1, descending=True)
    if options.top_k:
        scaled[:, options.top_k :] = NEVER
    probs = scaled.softmax(dim=-1)
    if options.top_p < 1:
        probs = probs.masked_fill(probs.cumsum(-1) - probs > options.top_p, 0.0)
    return word.gather(1, torch.multinomial(probs, 1, generator=generator)).squeeze(1)
