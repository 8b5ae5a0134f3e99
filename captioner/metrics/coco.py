"""METEOR, ROUGE-L and CIDEr, by COCO's evaluation code."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from captioner.metrics.bleu import check_scorable
from captioner.vocabulary import tokenize


@dataclass(frozen=True)
class Scores:
    """What :func:`coco_scores` found.

    Attributes:
        values: ``METEOR`` (0 to 1), ``ROUGE-L`` (0 to 1) and ``CIDEr`` (0 to 10), those that could
            be computed.
        tokenizer: ``ptb``, the one that published scores use, or ``captioner``, our own, whose
            scores differ a little from published ones.
        missing: each score that could not be computed, with what to do about it.
    """

    values: Mapping[str, float]
    tokenizer: str
    missing: Mapping[str, str] = field(default_factory=dict)


def coco_scores(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], meteor: bool = True
) -> Scores:
    """METEOR, ROUGE-L and CIDEr of COCO's evaluation code, as far as what is installed allows.

    Args:
        hypotheses: one caption per image, as text.
        references: for each image one or more captions, as text.
        meteor: False leaves METEOR out, which takes seconds to start.

    Raises:
        CaptionerError: there is nothing to score, or an image without reference.
    """
    check_scorable(hypotheses, references)
    try:
        import pycocoevalcap.meteor.meteor as meteor_program
        import pycocoevalcap.tokenizer.ptbtokenizer as ptb
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError:
        way = "pip install 'captioner[coco]'"
        return Scores({}, "captioner", dict.fromkeys(("METEOR", "ROUGE-L", "CIDEr"), way))

    captions = [*hypotheses, *chain.from_iterable(references)]
    values: dict[str, float] = {}
    missing: dict[str, str] = {}
    try:
        jar = Path(ptb.__file__).with_name(ptb.STANFORD_CORENLP_3_4_1_JAR)
        tokenized, tokenizer = iter(_ptb_tokenize(captions, jar, set(ptb.PUNCTUATIONS))), "ptb"
    except (OSError, subprocess.SubprocessError):  # no Java, or a stand-in that asks to install it
        tokenized, tokenizer = (" ".join(tokenize(caption)) for caption in captions), "captioner"
        missing["METEOR"] = "install Java 8 or later"
    found = {i: [next(tokenized)] for i in range(len(hypotheses))}
    wanted = {i: list(islice(tokenized, len(texts))) for i, texts in enumerate(references)}

    if meteor and not missing:
        try:
            jar = Path(meteor_program.__file__).with_name(meteor_program.METEOR_JAR)
            values["METEOR"] = _meteor(found, wanted, jar)
        except OSError:
            missing["METEOR"] = "its Java program stopped early; it needs 2 GB of memory"
    values["ROUGE-L"] = float(Rouge().compute_score(wanted, found)[0])
    values["CIDEr"] = float(Cider().compute_score(wanted, found)[0])
    return Scores(values, tokenizer, missing)


# pycocoevalcap's own wrappers of these two programs write into its installed folder, print to the
# terminal and, once METEOR has died, wait for ever on a lock, so we run its jars ourselves.


def _ptb_tokenize(captions: Sequence[str], jar: Path, punctuation: set[str]) -> list[str]:
    """Each caption as lower-case Penn Treebank tokens with a space between, without punctuation."""
    command = ["java", "-Dfile.encoding=UTF-8", "-cp", str(jar)]
    command += ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    lines = "".join(" ".join(caption.split()) + "\n" for caption in captions)
    done = subprocess.run(command, input=lines.encode("utf-8", "replace"), capture_output=True, check=True)
    tokens = [line.split(" ") for line in done.stdout.decode("utf-8").split("\n")[: len(captions)]]
    return [" ".join(word for word in line if word not in punctuation) for line in tokens]


def _meteor(found: Mapping[int, list[str]], wanted: Mapping[int, list[str]], jar: Path) -> float:
    """METEOR 1.5 (Denkowski and Lavie 2014) for English over the corpus.

    Raises:
        OSError: the program cannot be started, or stopped early.
    """
    command = ["java", "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", str(jar)]
    command += ["-", "-", "-stdio", "-l", "en", "-norm"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as program:
        questions, answers = program.stdin, program.stdout
        assert questions and answers

        def ask(*fields: str) -> str:
            questions.write(" ||| ".join(fields) + "\n")
            questions.flush()
            return answer()

        def answer() -> str:
            if line := answers.readline():
                return line.strip()
            raise OSError("METEOR stopped early")

        counts = [ask("SCORE", *wanted[i], *found[i]) for i in found]
        scores = [ask("EVAL", *counts), *(answer() for _ in counts)]  # of each image, of them all
        return float(scores[-1])
