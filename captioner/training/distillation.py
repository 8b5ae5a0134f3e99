"""Learning from what trained models expect of every word, beside the word itself (Hinton et al. 2015).

The references of a photo are five of the many captions that it could have. Models that were trained on them
from other seeds agree on what else a word may be; where they disagree, one of them has overfitted. Their mean
distribution is a target that says more than one word, and less of what only one of them has learned by heart
(arXiv 1503.02531).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from captioner.checkpoint.members import load_members
from captioner.errors import CaptionerError
from captioner.model.captioner import Captioner
from captioner.model.rows import Captions
from captioner.vocabulary import Vocabulary


class Teachers:
    """Trained models that read the features of the student's own trunk.

    Attributes:
        digests: SHA-256 of their files, which a run's state keeps.

    Args:
        paths: their model files or run folders.
        student: whose trunk they share; its weights are frozen, so they are those of every run of a recipe,
            but for the rounding of ``captioner average --half``. Their trained stages may begin later.

    Raises:
        CaptionerError: a file is no model, or its vocabulary or trunk is not the student's.
    """

    def __init__(
        self, paths: Sequence[str], student: Captioner, vocabulary: Vocabulary, device: torch.device
    ) -> None:
        members = load_members(list(paths), device)
        trunk = student.encoder.fingerprint(rounded=True)
        for path, member in zip(paths, members):
            if member.vocabulary.words != vocabulary.words:
                raise CaptionerError(
                    f"training.teachers: {path} has other words than this run; a teacher is trained on the "
                    "same captions"
                )
            member.model.encoder.first_trained = student.encoder.first_trained
            if member.model.encoder.fingerprint(rounded=True) != trunk:
                raise CaptionerError(
                    f"training.teachers: {path} has another encoder than this run before its trained part; "
                    "give teachers of the same encoder and image_size, and of no earlier fine_tune"
                )
        self.digests = [member.digest for member in members]
        self.models = [member.model.eval().requires_grad_(False) for member in members]

    @torch.no_grad()
    def __call__(self, features: Tensor, captions: Captions) -> Tensor:
        """The mean of their distributions of every word, ``(words, vocabulary)`` float32.

        Args:
            features: the trunk's output, ``(images, ...)``.
            captions: of these images; words are in the order of :class:`captioner.model.decoder.Unrolled`.
        """
        of_each = (
            model.decoder.logits(model(features, captions).steps).float().softmax(-1) for model in self.models
        )
        return torch.stack(list(of_each)).mean(0)
