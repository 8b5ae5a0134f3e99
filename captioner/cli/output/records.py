"""What is recorded of a photo: its caption in the user's wording, or why there is none."""

from __future__ import annotations

import argparse
import math
import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.errors import CaptionerError

if TYPE_CHECKING:
    from captioner.caption import Caption

Record = dict[str, Any]  # path; caption, words, log_prob, confidence, perhaps unfamiliar, reason; or error
FIELDS = ("caption", "name", "stem", "folder", "confidence")


@dataclass(frozen=True)
class Wording:
    """How a caption is worded.

    Attributes:
        template: a text with fields in braces: ``caption``, ``confidence``, the photo's ``name``, ``stem``
            and ``folder``.
        sentence: start with a capital and end with a full stop.
        min_confidence: mean log probability per word below which the caption is left empty.
    """

    template: str = "{caption}"
    sentence: bool = False
    min_confidence: float = -math.inf

    def record(self, path: Path, result: Caption | CaptionerError) -> Record:
        """What is recorded of a photo."""
        if isinstance(result, CaptionerError):
            return {"path": str(path), "error": str(result)}
        confidence = round(result.confidence, 4)
        record: Record = {"path": str(path), "caption": self.text(path, result)}
        record |= {
            "words": list(result.words),
            "log_prob": round(result.log_prob, 4),
            "confidence": confidence,
        }
        if result.unfamiliar:
            record["unfamiliar"] = True
        if confidence < self.min_confidence:
            record |= {"caption": "", "words": []}
            record["reason"] = f"confidence {confidence:g} is below {self.min_confidence:g}"
        return record

    def text(self, path: Path, caption: Caption) -> str:
        """The caption in this wording."""
        text = caption.text
        if self.sentence and text:
            text = text[0].upper() + text[1:] + "." * (text[-1] not in ".!?。！？")
        return self.template.format(
            caption=text,
            name=path.name,
            stem=path.stem,
            folder=path.parent.name,
            confidence=f"{caption.confidence:.2f}",
        )


def add_wording(parser: argparse._ActionsContainer) -> None:
    """The options from which :func:`wording` makes a :class:`Wording`."""
    parser.add_argument(
        "--template",
        default="{caption}",
        metavar="TEXT",
        help=f"text with fields: {', '.join(f'{{{name}}}' for name in FIELDS)} (default: %(default)s)",
    )
    parser.add_argument(
        "--sentence", action="store_true", help="start with a capital and end with a full stop, for alt text"
    )
    parser.add_argument(
        "--min-confidence",
        type=float,
        default=-math.inf,
        metavar="X",
        help="leave a caption empty if its mean log probability per word is below X, such as -1.5",
    )


def wording(options: argparse.Namespace) -> Wording:
    """The wording that the options ask for.

    Raises:
        CaptionerError: the template is malformed, or names a field that does not exist.
    """
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(options.template) if field is not None]
    except ValueError as error:
        raise CaptionerError(f"--template: {options.template!r}: {error}") from None
    for field in fields:
        if field not in FIELDS:
            raise CaptionerError(
                f"--template: there is no field {{{field}}}, the fields are {', '.join(FIELDS)}"
            )
    if math.isnan(options.min_confidence):
        raise CaptionerError("--min-confidence: nan is not a number")
    return Wording(options.template, options.sentence, options.min_confidence)
