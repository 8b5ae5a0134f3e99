"""The public API: photos in, captions with their attention out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from captioner.checkpoint import Checkpoint, load_members
from captioner.config import SearchConfig
from captioner.data.images import Source, load_image
from captioner.data.preprocess import Preprocess
from captioner.ensemble import Ensemble
from captioner.errors import CaptionerError
from captioner.hardware import autocast, choose_device
from captioner.hypotheses import Hypothesis
from captioner.search import check_search, search
from captioner.vocabulary import detokenize


@dataclass(frozen=True)
class Caption:
    """What the model says of an image, and where it looked for every word.

    Attributes:
        log_prob: of the whole caption, its end included, in nats.
        word_log_probs: of each word.
        attention: ``(words, rows, columns)`` float32, each word's weights summing to 1; None where it
            was not asked for.
        betas: the gate at each word: how much the image counted beside the words before; None without
            a gate.
        image: the square that the model saw; None without attention.
    """

    text: str
    words: tuple[str, ...]
    log_prob: float
    word_log_probs: tuple[float, ...]
    attention: np.ndarray | None = None
    betas: tuple[float, ...] | None = None
    image: Image.Image | None = None

    def __str__(self) -> str:
        return self.text


class Predictor:
    """A trained model that captions photos, or several that do it together.

    Several average their word probabilities; the attention that is shown is the first one's.

    Args:
        checkpoint: from :func:`captioner.checkpoint.load_checkpoint`.
        device: auto, cpu, cuda, ...
        others: further members, with the same vocabulary.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: str = "auto", others: Sequence[Checkpoint] = ()
    ) -> None:
        self.device = choose_device(device)
        members = [checkpoint, *others]
        self.models = [member.model.to(self.device).eval() for member in members]
        self.model = self.models[0]
        self.vocabulary = checkpoint.vocabulary
        self.decoder = Ensemble([model.decoder for model in self.models])
        encoders = [member.config.encoder for member in members]
        preprocesses = [Preprocess(encoder.image_size, encoder.resize) for encoder in encoders]
        self.preprocess = preprocesses[0]
        # members with the same trunk and preprocessing share its work
        self._trunks = [(m.encoder.fingerprint(), p) for m, p in zip(self.models, preprocesses)]

    def caption(self, image: Source, **options: Any) -> Caption:
        """Caption one photo: a path, bytes, an open file or a Pillow image.

        Args:
            options: fields of :class:`captioner.config.SearchConfig`, such as ``beam_size=5``.

        Raises:
            CaptionerError: the image cannot be read, or an option is wrong.
        """
        (result,) = self.caption_many([image], search_options(**options), attention=True)
        if isinstance(result, CaptionerError):
            raise result
        return result

    def caption_many(
        self,
        images: Iterable[Source],
        options: SearchConfig | None = None,
        attention: bool = False,
        batch_size: int = 32,
        workers: int = 2,
    ) -> Iterator[Caption | CaptionerError]:
        """Caption many photos in batches, in their order, each as soon as its batch is done.

        A photo that cannot be read yields its error in its place, and the others go on. The next
        batch is decoded by ``workers`` threads while the model works on this one.
        """
        options = options or SearchConfig()
        check_search(options)
        for batch in _loaded(images, self._load, batch_size, workers):
            good = [item for item in batch if not isinstance(item, CaptionerError)]
            captions = iter(self._caption_batch(good, options, attention) if good else ())
            yield from (i if isinstance(i, CaptionerError) else next(captions) for i in batch)

    def _load(self, source: Source) -> list[Image.Image] | CaptionerError:
        """The square that each member sees."""
        try:
            preprocesses = [preprocess for _, preprocess in self._trunks]
            image = load_image(source, draft=max(p.image_size for p in preprocesses))
            frames = {p: p.frame(image) for p in set(preprocesses)}
            return [frames[p] for p in preprocesses]
        except CaptionerError as error:
            return error

    def _caption_batch(
        self, images: Sequence[list[Image.Image]], options: SearchConfig, attention: bool
    ) -> list[Caption]:
        features: dict[object, Tensor] = {}
        annotations = []
        with torch.inference_mode(), autocast(self.device, "auto"):
            for model, trunk, frames in zip(self.models, self._trunks, zip(*images)):
                if trunk not in features:
                    pixels = torch.stack([trunk[1].pixels(frame) for frame in frames])
                    features[trunk] = model.encoder.trunk(pixels.to(self.device))
                annotations.append(model.encoder.tail(features[trunk]))
            found = search(self.decoder, annotations, options, attention)
        return [
            self._as_caption(hypotheses[0], frames[0] if attention else None)
            for hypotheses, frames in zip(found, images)
        ]

    def _as_caption(self, hypothesis: Hypothesis, image: Image.Image | None) -> Caption:
        words = tuple(self.vocabulary.words[i] for i in hypothesis.words)
        maps, betas = hypothesis.attention, hypothesis.betas
        rows, columns = self.model.encoder.grid
        return Caption(
            detokenize(words, self.vocabulary.unit),
            words,
            hypothesis.log_prob,
            hypothesis.word_log_probs[: len(words)],
            None if maps is None else maps.view(-1, rows, columns).numpy(),
            None if betas is None else tuple(betas.tolist()),
            image,
        )


def load(path: str | Path | Sequence[str | Path], device: str = "auto") -> Predictor:
    """Load a trained model: ``captioner.load("model.safetensors").caption("photo.jpg")``.

    Several paths are loaded as an ensemble.

    Raises:
        CaptionerError: no such file, not a model file of captioner, or models whose vocabularies differ.
    """
    first, *others = load_members(path)
    return Predictor(first, device, others)


def search_options(**options: Any) -> SearchConfig:
    """Search options from keywords; unknown ones are refused with the names there are.

    Raises:
        CaptionerError: an unknown option.
    """
    known = SearchConfig()
    unknown = sorted(set(options) - set(vars(known)))
    if unknown:
        raise CaptionerError(
            f"search: there is no option {unknown[0]!r}, the options are {', '.join(vars(known))}"
        )
    return replace(known, **options)


def _loaded(
    sources: Iterable[Source], load: Any, batch_size: int, workers: int
) -> Iterator[list[list[Image.Image] | CaptionerError]]:
    """Batches of loaded images in order; at most two batches are held."""
    remaining = iter(sources)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: deque[Future[list[Image.Image] | CaptionerError]] = deque()

        def fill() -> None:
            for source in islice(remaining, 2 * batch_size - len(waiting)):
                waiting.append(pool.submit(load, source))

        fill()
        while waiting:
            count = min(batch_size, len(waiting))
            batch = [waiting.popleft().result() for _ in range(count)]
            fill()
            yield batch
