"""A split with its captions and, optionally, the mirror image of every photo as a further record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from captioner.data.records import Record
from captioner.features.captions import Captions, encoded_captions
from captioner.features.mosaics import Mosaics
from captioner.features.split import Split, gather
from captioner.vocabulary import Vocabulary


@dataclass(frozen=True)
class CaptionedSplit:
    """What a model is trained on, and what its likelihood is measured on.

    Attributes:
        photos: the images as they are.
        captions: of every record, as word indices, each closed by ``<end>``; longer ones are cut.
        mirror_images: the photos with left and right swapped, in the same order; None without them.
        mosaics: of the photos, four in one; None without them.
    """

    photos: Split
    captions: Sequence[Captions]
    mirror_images: Split | None = None
    mosaics: Mosaics | None = None

    @classmethod
    def build(
        cls,
        photos: Split,
        vocabulary: Vocabulary,
        max_length: int,
        mirror_images: Split | None = None,
        mosaics: Mosaics | None = None,
    ) -> CaptionedSplit:
        """Encode the captions of all records."""
        mirrored = mirror_images.records if mirror_images else ()
        captions = encoded_captions(photos.records, mirrored, vocabulary, max_length)
        return cls(photos, captions, mirror_images, mosaics)

    @property
    def records(self) -> list[Record]:
        """The photos, then their mirror images."""
        return [*self.photos.records, *(self.mirror_images.records if self.mirror_images else ())]

    @property
    def mirrors(self) -> range:
        """The number of the record that is the mirror image of each photo; empty without them."""
        photos = len(self.photos)
        return range(photos, 2 * photos if self.mirror_images else photos)

    def features(self, numbers: Sequence[int]) -> Tensor:
        """The encoder trunk's output for some records, ``(records, ...)``."""
        mirrors = self.mirrors
        photo_of = [mirrors.index(number) if number in mirrors else number for number in numbers]
        features = gather(self.photos.features, photo_of)
        if self.mirror_images:
            mirrored = [place for place, number in enumerate(numbers) if number in mirrors]
            features[mirrored] = gather(self.mirror_images.features, [photo_of[i] for i in mirrored])
        return features
