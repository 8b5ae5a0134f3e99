"""Starting from a trained model or a state: weights, and words that a vocabulary gains from new captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from captioner.checkpoint.file import Checkpoint, load_checkpoint
from captioner.checkpoint.pretrained import model_path
from captioner.config.data import VocabularyConfig
from captioner.config.declare import as_typed
from captioner.config.model import computed_with
from captioner.config.schema import TrainConfig
from captioner.data.records import Record
from captioner.data.words import count_words
from captioner.errors import CaptionerError, first_line
from captioner.model.captioner import Captioner, build_model
from captioner.training.optimization import PER_WORD
from captioner.vocabulary import SPECIALS, Vocabulary

OF_CONFIGURATION = ("encoder.mean", "encoder.std")  # which are kept beside the weights


def is_model_file(init: str) -> bool:
    """Whether a run starts from a model alone, and not from another run with its configuration."""
    return not model_path(init).is_dir()


class Start(NamedTuple):
    """What training starts from.

    Attributes:
        new_words: how many of the vocabulary's last words are new; ``told`` is a line about them.
        changed: a line about options with which the weights compute something else than before.
    """

    vocabulary: Vocabulary
    model: Captioner
    new_words: int = 0
    told: str = ""
    changed: str = ""


def start_from(config: TrainConfig, path: str, records: Sequence[Record]) -> Start:
    """The vocabulary and the model that training starts from.

    A model file's vocabulary grows by the words of ``records`` that are frequent enough; that of a run
    folder stays.

    Raises:
        CaptionerError: the file is no model, or one that the configuration does not describe.
    """
    checkpoint = load_checkpoint(path)
    known = checkpoint.vocabulary
    vocabulary, told = known, ""
    if is_model_file(path):
        vocabulary, told = grown(known, records, config.vocabulary)
    model = build_model(config, len(vocabulary), load_encoder_weights=False)
    own = {name: value for name, value in model.state_dict().items() if name in OF_CONFIGURATION}
    state = _with_rows(checkpoint, len(vocabulary)) | own
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise CaptionerError(f"init: the model of {path} is not of this configuration ({reason})") from error
    changed = _changed(computed_with(checkpoint.config), computed_with(config), path)
    return Start(vocabulary, model, len(vocabulary) - len(known), told, changed)


def start_with(config: TrainConfig, saved: dict[str, Any]) -> Start:
    """The vocabulary and the model of a run's state; no other file decides on them.

    Raises:
        CaptionerError: the state is not of this configuration.
    """
    try:
        data = saved["data"]
        vocabulary = Vocabulary(data["words"], data["unit"])
        model = build_model(config, len(vocabulary), load_encoder_weights=False)
        model.load_state_dict(saved["model"])
        return Start(vocabulary, model, data["new_words"])
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = first_line(error)
        raise CaptionerError(f"resume: the state is of another run ({reason})") from error


def grown(known: Vocabulary, records: Sequence[Record], config: VocabularyConfig) -> tuple[Vocabulary, str]:
    """``known`` with the frequent words of the records that it lacks at its end, and a line about them."""
    counts = count_words(records, known.unit)
    new = sorted(
        (-n, word) for word, n in counts.items() if n >= config.min_count and word not in known.index
    )
    vocabulary = Vocabulary([*known.words[len(SPECIALS) :], *(word for _, word in new)], known.unit)
    total = max(1, sum(counts.values()))
    before, after = (sum(n for w, n in counts.items() if w in v.index) / total for v in (known, vocabulary))
    first = f" ({', '.join(word for _, word in new[:8])}{', ...' * (len(new) > 8)})" if new else ""
    return vocabulary, (
        f"{len(new):,} new words{first}: {100 * after:.1f} % of the captions' words are known, "
        f"{100 * before:.1f} % before"
    )


def _changed(before: dict[str, Any], now: dict[str, Any], path: str) -> str:
    """A line about the options that differ though the weights fit; another kind of attention has others."""
    different = [
        f"{key}={as_typed(now[key])} (it was {as_typed(old)})"
        for key, old in before.items()
        if key in now and now[key] != old
    ]
    if not different:
        return ""
    return f"init: the weights of {path} fit, but were trained otherwise; now {', '.join(different)}"


def _with_rows(checkpoint: Checkpoint, words: int) -> dict[str, Tensor]:
    """The weights, with rows for further words: each near the mean word, and as rare as the rarest."""
    state = dict(checkpoint.model.state_dict())
    more = words - len(checkpoint.vocabulary)
    for name in PER_WORD if more else ():
        old = state[name]
        known = old[len(SPECIALS) :]
        if old.ndim == 1:
            rows = known.min().expand(more)
        else:
            rows = known.mean(0) + 0.1 * known.std(0) * torch.randn(more, old.shape[1])
        state[name] = torch.cat([old, rows])
    return state
