"""CIDEr-D against COCO's own code and against its formula, written out with dictionaries."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from captioner.metrics.cider import CiderD

REFERENCES = [
    [
        "a brown dog runs through the tall grass",
        "a dog is running through a grassy field",
        "the brown dog runs with a stick in its mouth",
        "a dog playing fetch outside",
        "brown dog running",
    ],
    [
        "two children are playing in the water of a fountain",
        "a boy and a girl play in a fountain",
        "children playing in the water",
        "two kids in bathing suits splash in the water",
        "kids cool off in a public fountain on a hot day",
    ],
    [
        "a man in a red jacket is climbing a snowy mountain",
        "a climber on a mountain in the snow",
        "a man climbing a mountain",
        "the man in red climbs up the ice wall with an axe",
        "somebody climbs",
    ],
    ["a black dog and a brown dog are playing with a ball on the beach", "two dogs run on the beach"],
    ["a man rides a wave on a surfboard", "a surfer in the sea", "the surfer rides a big wave in the sea"],
]
CAPTIONS = [
    (0, "a brown dog is running through the grass"),
    (0, "a brown dog runs through the tall grass"),
    (0, "brown dog running"),
    (0, "dog dog dog dog dog dog"),
    (1, "two children are playing in the water"),
    (1, "a a a a a in in in the of a of a"),
    (1, "children"),
    (2, "a man in a"),
    (2, "a zebra climbs a mountain with a zebra on a zebra"),
    (2, "somebody climbs"),
    (
        3,
        "two dogs play with a ball on the beach and a brown dog is in the sea on a very long day",
    ),
    (3, ""),
    (4, "a surfer rides a wave"),
]
IMAGES = [image for image, _ in CAPTIONS]
HYPOTHESES = [caption.split() for _, caption in CAPTIONS]
WORDS = [[caption.split() for caption in captions] for captions in REFERENCES]


def ngrams(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def formula(words, alternatives, corpus, sigma=6.0):
    """Equation 3 of the paper with g clipped to min(g(c), g(s)), and the Gaussian of the lengths."""

    def weights(caption, n):
        grams = ngrams(caption, n)
        seen = {g: sum(any(g in ngrams(c, n) for c in image) for image in corpus) for g in grams}
        return {g: k * math.log(len(corpus) / max(1, seen[g])) for g, k in grams.items()}

    total = 0.0
    for reference in alternatives:
        damping = math.exp(-((max(0, len(words) - 1) - (len(reference) - 1)) ** 2) / (2 * sigma**2))
        for n in (1, 2, 3, 4):
            ours, theirs = weights(words, n), weights(reference, n)
            size = math.sqrt(sum(x * x for x in ours.values()) * sum(x * x for x in theirs.values()))
            dot = sum(min(x, theirs[g]) * theirs[g] for g, x in ours.items() if g in theirs)
            total += damping * dot / size / 4 if size else 0.0
    return 10 * total / len(alternatives)


def test_scores_follow_the_formula() -> None:
    wanted = [formula(words, WORDS[image], WORDS) for image, words in zip(IMAGES, HYPOTHESES)]
    assert CiderD(WORDS).scores(HYPOTHESES, IMAGES) == pytest.approx(wanted, abs=1e-9)
    assert max(wanted) > 2 and 0.0 in wanted


def test_scores_equal_those_of_coco() -> None:
    coco = pytest.importorskip("pycocoevalcap.cider.cider")
    scorer = CiderD(WORDS)
    for shift in range(len(CAPTIONS)):  # it takes one caption per image
        chosen = [HYPOTHESES[(shift + i) % len(CAPTIONS)] for i in range(len(WORDS))]
        found = {i: [" ".join(words)] for i, words in enumerate(chosen)}
        mean, each = coco.Cider().compute_score(dict(enumerate(REFERENCES)), found)
        scores = scorer.scores(chosen, range(len(WORDS)))
        assert scores == pytest.approx(list(each), abs=1e-6)
        assert scores.mean() == pytest.approx(float(mean), abs=1e-6)


def test_a_batch_scores_as_its_captions_alone() -> None:
    scorer = CiderD(WORDS)
    alone = [scorer.scores([words], [image])[0] for image, words in zip(IMAGES, HYPOTHESES)]
    assert scorer.scores(HYPOTHESES[::-1], IMAGES[::-1]).tolist() == pytest.approx(alone[::-1], abs=1e-12)


def test_what_was_scored_before_changes_no_bit() -> None:
    new = [[f"{'ab'[i % 2]}{i}{word}" for i, word in enumerate(words)] for words in HYPOTHESES]
    mixed = [[*one, *other] for one, other in zip(HYPOTHESES, new)]
    fresh, used = CiderD(WORDS), CiderD(WORDS)
    for words, image in zip(reversed(new), reversed(IMAGES)):
        used.scores([words], [image])
    assert used.scores(mixed, IMAGES).tolist() == fresh.scores(mixed, IMAGES).tolist()


def test_the_only_reference_itself_scores_10() -> None:
    scorer = CiderD([[captions[0]] for captions in WORDS])
    own = scorer.scores([captions[0] for captions in WORDS], range(len(WORDS)))
    assert own == pytest.approx([10.0] * len(WORDS), abs=1e-9)


def test_words_may_be_numbers() -> None:
    index = {word: i for i, word in enumerate({w for captions in WORDS for c in captions for w in c})}
    known = [[w for w in words if w in index] for words in HYPOTHESES]
    numbers = CiderD([[[index[w] for w in c] for c in captions] for captions in WORDS])
    found = numbers.scores([[index[w] for w in words] for words in known], IMAGES)
    assert found == pytest.approx(CiderD(WORDS).scores(known, IMAGES), abs=1e-12)
