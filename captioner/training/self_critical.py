"""Self-critical sequence training (Rennie et al. 2017): captions are trained on what they are judged by.

1. Every image gets several captions, sampled from the model.
2. Each is rewarded with its CIDEr-D against the image's references, optionally plus its BLEU-4.
3. What it gained over a baseline, r - b, is the weight of its words in the loss -(r - b) sum_t log p(y_t).
   The baseline is the reward of the greedy caption (the paper's) or the mean of the image's other samples.
4. log p gets its gradient in a teacher-forced pass over the sampled words.

``<end>`` is a word of samples and references alike, as in the authors' later code. Without it "a dog in a"
has the n-grams of "a dog in a field" but the last, and captions learn to stop after such words.

The model has no dropout, neither where captions are drawn nor where their gradient is taken: both passes
must be the same policy for the loss to have the gradient of the expected reward. Annotations may have some:
what is dropped of an image is dropped from both passes, so it is as if the photo were another.

Likewise p counts only the words that the search may say, and has the temperature that they are drawn at:
below 1 for a model that was trained with label smoothing, whose own distribution is so flat that its samples
are far from the captions that its beam search finds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from captioner.config.search import SearchConfig
from captioner.config.training import SelfCriticalConfig
from captioner.data.records import Record
from captioner.data.words import caption_words
from captioner.decoding.search import NEVER, forbidden, search
from captioner.errors import check_range
from captioner.kernels.dropout import Dropout
from captioner.kernels.precision import at_least_float32
from captioner.kernels.word_loss import word_loss
from captioner.metrics.cider import CiderD
from captioner.metrics.nltk_bleu import SmoothingFunction, sentence_bleu
from captioner.model.captioner import Captioner
from captioner.model.decoder import Decoder
from captioner.model.rows import Captions
from captioner.model.step import Unrolled
from captioner.training.loss import Loss, attention_penalty
from captioner.vocabulary import END, PAD, SPECIALS, Vocabulary

Reward = Callable[[Sequence[Sequence[str]], Sequence[int]], np.ndarray]  # of captions, of which record each


def check_self_critical(options: SelfCriticalConfig) -> None:
    """Refuse a baseline that one sample cannot have.

    Raises:
        CaptionerError: names the key, its value and what it may be.
    """
    if options.baseline == "mean":  # of the image's other samples
        check_range(options.samples, "phase.samples", low=2)


def caption_reward(records: Sequence[Record], vocabulary: Vocabulary, bleu_weight: float = 0.0) -> Reward:
    """CIDEr-D, plus BLEU-4 times its weight, against all references of one of the records.

    Photos and mirror images each have document frequencies of their own.
    References keep the words that the vocabulary does not know. A single caption seldom has all of BLEU-4's
    n-grams, so 1 is added to their counts (Lin and Och 2004).
    """
    end = SPECIALS[END]
    references = [[[*words, end] for words in caption_words(r, vocabulary.unit)] for r in records]
    kinds = [
        [number for number, record in enumerate(records) if record.mirrored == mirrored]
        for mirrored in (False, True)
    ]
    ciders = [CiderD([references[number] for number in kind]) for kind in kinds if kind]
    place = {number: (k, i) for k, kind in enumerate(kinds) for i, number in enumerate(kind)}
    smoothing = SmoothingFunction().method2

    def reward(captions: Sequence[Sequence[str]], images: Sequence[int]) -> np.ndarray:
        rewards = np.empty(len(captions))
        for k, cider in enumerate(ciders):
            here = [i for i, image in enumerate(images) if place[image][0] == k]
            if here:
                rewards[here] = cider.scores([captions[i] for i in here], [place[images[i]][1] for i in here])
        if bleu_weight:
            pairs = zip(captions, images)
            bleu = [sentence_bleu(references[i], c, smoothing_function=smoothing) for c, i in pairs]
            rewards = rewards + bleu_weight * np.array(bleu)
        return rewards

    return reward


class SelfCritical:
    """The loss of a batch of images.

    Args:
        search: how long captions may become, and whether they may hold ``<unk>``; the rest is not used.
        words: of the vocabulary.
    """

    def __init__(
        self, options: SelfCriticalConfig, search: SearchConfig, words: Sequence[str], reward: Reward
    ) -> None:
        check_self_critical(options)
        self.options = options
        self.search = SearchConfig(
            "sample",
            max_length=search.max_length,
            allow_unknown=search.allow_unknown,
            temperature=options.temperature,
        )
        self.dropout = Dropout(options.annotation_dropout)
        self.words = words
        self.reward = reward

    def __call__(self, model: Captioner, features: Tensor, images: Sequence[int]) -> Loss:
        """Sample captions and weigh them; the sums are over samples.

        Args:
            features: the encoder trunk's output.
            images: which of the reward's records they are.
        """
        model.eval()
        annotations = self.dropout(model.encoder.tail(features))
        samples = self.captions(model.decoder, annotations, "sample")
        rewards = self.rewards(samples, images)
        if self.options.baseline == "greedy":
            greedy = self.captions(model.decoder, annotations, "greedy")
            baseline = _by_image(greedy, self.rewards(greedy, images))[samples.owner]
        else:
            others = _by_image(samples, rewards)[samples.owner] - rewards
            baseline = others / (self.options.samples - 1)
        torch.clear_autocast_cache()  # search left weights there that have no gradient
        unrolled = model.decoder(annotations, samples)
        total, nll = policy_loss(model.decoder, unrolled, rewards - baseline, self.search)
        penalty = attention_penalty(unrolled)
        return Loss(total, nll.sum(), penalty.detach(), len(nll), len(samples), rewards.sum().item())

    def captions(self, decoder: Decoder, annotations: Tensor, strategy: str) -> Captions:
        """What the model says now, ``<end>`` at the end of captions that came to it."""
        seed = int(torch.randint(2**31, ()))
        options = replace(self.search, strategy=strategy, seed=seed)
        copies = self.options.samples if strategy == "sample" else 1
        found = search(decoder, annotations.detach(), options, copies=copies)
        said = [[[*h.words, *[END] * h.finished] for h in hypotheses] for hypotheses in found]
        return Captions.build(said).to(annotations.device)

    def rewards(self, captions: Captions, images: Sequence[int]) -> Tensor:
        """Of every caption, ``(captions,)``."""
        said = [[self.words[i] for i in row if i != PAD] for row in captions.words.tolist()]
        rewards = self.reward(said, [images[i] for i in captions.owner.tolist()])
        return torch.from_numpy(rewards).float().to(captions.owner.device)


def policy_loss(
    decoder: Decoder, unrolled: Unrolled, advantage: Tensor, options: SearchConfig
) -> tuple[Tensor, Tensor]:
    """-sum over captions of advantage * log p(caption), p as :func:`search` draws from it.

    Args:
        unrolled: a teacher-forced pass over the captions.
        advantage: of each caption, ``(captions,)``.

    Returns:
        The loss, and each word's negative log probability, ``(words,)``, without a gradient.
    """
    captions, layer = unrolled.captions, decoder.word_output
    deep = decoder.deep(unrolled.steps) / options.temperature
    scale = captions.pack(advantage[:, None].expand(-1, captions.words.shape[1]))
    total, nll = at_least_float32(deep.new_zeros(())), []
    first = captions.alive[0]
    for step, part in enumerate((slice(first), slice(first, None))):  # the first words, and the others
        never = torch.tensor(forbidden(step, len(layer.bias), options), device=deep.device)
        bias = (layer.bias / options.temperature).index_fill(0, never, NEVER)
        loss, of_part = word_loss(deep[part], layer.weight, bias, unrolled.targets[part], scale=scale[part])
        total = total + loss
        nll.append(of_part)
    return total, torch.cat(nll)


def _by_image(captions: Captions, values: Tensor) -> Tensor:
    """Sum over each image's captions, ``(images,)``."""
    return values.new_zeros(captions.images).index_add(0, captions.owner, values)
