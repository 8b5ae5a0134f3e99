"""The public API: photos in, captions with their attention out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from captioner.caption import Caption
from captioner.checkpoint.file import Checkpoint
from captioner.checkpoint.members import load_members
from captioner.checkpoint.pretrained import default_checkpoint
from captioner.config.declare import check
from captioner.config.schema import MOST_WORKERS
from captioner.config.search import SEARCHED_TOGETHER, SearchConfig
from captioner.config.training import LARGEST_BATCH
from captioner.data.photos.image import Source
from captioner.data.photos.prefetch import prefetched
from captioner.data.photos.preprocess import Preprocess, View
from captioner.decoding.ensemble import Ensemble
from captioner.decoding.explanation import Explanation, explain
from captioner.decoding.hypotheses import Hypothesis
from captioner.decoding.search import search
from captioner.errors import CaptionerError, check_range
from captioner.kernels.precision import autocast
from captioner.system.device import choose_device

Loaded = list[View] | CaptionerError  # a photo as each member sees it


class ShownCaption(Caption):
    """A caption that a notebook shows as the page of ``captioner.visualize.page``."""

    def _repr_html_(self) -> str | None:
        if self.attention is None:
            return None
        from captioner.visualize.page import notebook_html  # matplotlib takes a while to import

        return notebook_html(self)


class Predictor:
    """A trained model that captions photos, or several that do it together.

    Several models average their word probabilities, and their attention too if they look at the same grid of
    places; otherwise the attention shown is the first one's.

    Args:
        checkpoint: from :func:`captioner.checkpoint.file.load_checkpoint`.
        device: auto, cpu, cuda, ...
        others: further members, with the same vocabulary.
        precision: as of :func:`captioner.kernels.precision.autocast`.

    Raises:
        CaptionerError: there is no such device or precision.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "auto",
        others: Sequence[Checkpoint] = (),
        precision: str = "auto",
    ) -> None:
        self.device, self.precision = choose_device(device), precision
        autocast(self.device, precision)
        members = [checkpoint, *others]
        self.models = [member.model.to(self.device).eval() for member in members]
        self.model = self.models[0]
        self.vocabulary = checkpoint.vocabulary
        self.unfamiliar = None if others else checkpoint.unfamiliar
        self.grounding = (not others and checkpoint.grounding) or None
        self.encoders = [model.encoder.folded() for model in self.models]
        preprocesses = [Preprocess.of(member.config.encoder) for member in members]
        places = {(model.encoder.grid, p.resize) for model, p in zip(self.models, preprocesses)}
        self.decoder = Ensemble([model.decoder for model in self.models], one_grid=len(places) == 1)
        self.preprocess = preprocesses[0]
        # members with the same trunk and preprocessing share its work; a single one is spared the hashing
        trunks = [model.encoder.fingerprint() for model in self.models] if others else [""]
        self._trunks = list(zip(trunks, preprocesses))

    def caption(self, image: Source, **options: Any) -> Caption:
        """Caption one photo: a path, bytes, an open file or a Pillow image.

        Args:
            options: fields of :class:`captioner.config.search.SearchConfig`, such as ``beam_size=5``.

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
        batch_size: int = SEARCHED_TOGETHER,
        workers: int = 2,
    ) -> Iterator[Caption | CaptionerError]:
        """Caption many photos in batches, in their order, each as soon as its batch is done.

        A photo that cannot be read yields its error in its place, and the rest continue. The next
        batch is decoded by ``workers`` threads while the model works on this one.
        """
        options = options or SearchConfig()
        check(options, "search")
        check_range(batch_size, "batch_size", low=1, high=LARGEST_BATCH)
        check_range(workers, "workers", low=0, high=MOST_WORKERS)

        def load(source: Source) -> Loaded:
            try:
                return self._views(source, shown=attention)
            except CaptionerError as error:
                return error

        for batch in prefetched(images, load, batch_size, workers):
            good = [item for item in batch if not isinstance(item, CaptionerError)]
            captions = iter(self._caption_batch(good, options, attention) if good else ())
            yield from (i if isinstance(i, CaptionerError) else next(captions) for i in batch)

    def _views(self, source: Source, shown: bool) -> list[View]:
        """What each member sees of a photo; the first one's view is what is shown."""
        preprocesses = [preprocess for _, preprocess in self._trunks]
        if len(set(preprocesses)) > 1 and hasattr(source, "read"):
            source = source.read()  # once, for all
        views = {p: p.view(source, shown and p == self.preprocess) for p in set(preprocesses)}
        return [views[p] for p in preprocesses]

    def _caption_batch(
        self, images: Sequence[list[View]], options: SearchConfig, attention: bool
    ) -> Iterator[Caption]:
        explanations: Sequence[Explanation | None] = [None] * len(images)
        features: dict[object, Tensor] = {}
        annotations = []
        with torch.inference_mode(), autocast(self.device, self.precision):
            for encoder, trunk, views in zip(self.encoders, self._trunks, zip(*images)):
                if trunk not in features:
                    pixels = torch.stack([trunk[1].pixels(view.square) for view in views])
                    features[trunk] = encoder.trunk(pixels.to(self.device))
                annotations.append(encoder.tail(features[trunk]))
            found = search(self.decoder, annotations, options, attention)
            if attention:
                best = [hypotheses[0].words for hypotheses in found]
                explanations = explain(self.decoder.decoders, annotations, best, options)
        low = -math.inf if self.unfamiliar is None or options.strategy == "sample" else self.unfamiliar
        captions = map(self._as_caption, found, (views[0] for views in images), explanations)
        return (replace(c, unfamiliar=True) if c.confidence < low else c for c in captions)

    def _as_caption(
        self, hypotheses: Sequence[Hypothesis], view: View, explanation: Explanation | None
    ) -> Caption:
        best, *others = hypotheses
        words = self._words(best.words)
        caption = ShownCaption(
            self.vocabulary.text(best.words), words, best.log_prob, best.word_log_probs[: len(words)]
        )
        if best.attention is None:
            return caption
        if explanation is not None:
            alternatives = tuple(
                tuple(zip(self._words(w for w, _ in step), (log_prob for _, log_prob in step)))
                for step in explanation.alternatives
            )
            caption = replace(caption, alternatives=alternatives, gates=explanation.gates or None)
        finished = [other for other in others if other.finished]
        return replace(
            caption,
            attention=best.attention.view(-1, *self.model.encoder.grid).numpy(),
            betas=None if best.betas is None else tuple(best.betas.tolist()),
            image=view.square,
            photo=view.photo,
            frame=view.frame,
            beam=tuple((self.vocabulary.text(other.words), other.log_prob) for other in finished),
            scores=(best.score, *(other.score for other in finished)),
            grounding=self.grounding,
        )

    def _words(self, indices: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.vocabulary.words[i] for i in indices)


def load(
    path: str | Path | Sequence[str | Path] | None = None, device: str = "auto", precision: str = "auto"
) -> Predictor:
    """Load a trained model: ``captioner.load("model.safetensors").caption("photo.jpg")``.

    Without a path that is ``$CAPTIONER_CHECKPOINT``, or the model that comes with the package. Several
    paths load as an ensemble.

    Args:
        device: auto, cpu, cuda, cuda:1, mps.
        precision: of matrix products: ``fp32``, ``bf16``, or ``auto``, bf16 where the hardware has it. One
            caption in six differs between them.

    Raises:
        CaptionerError: no such file, not a model file of captioner, or models whose vocabularies differ.
    """
    first, *others = load_members(default_checkpoint() if path is None else path)
    return Predictor(first, device, others, precision)


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
