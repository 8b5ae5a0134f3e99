"""The Penn Treebank tokenizer that published scores use: Stanford CoreNLP's, as pycocoevalcap ships it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from captioner.metrics.java import COMMAND, JavaError, complaint, failure, patience

FIRST, LAST = "the first line", "the last line"  # sent before and after the captions; come back as they are


def ptb_tokenize(captions: Sequence[str]) -> list[str]:
    """Each caption as lower-case Penn Treebank tokens with a space between, without punctuation.

    Raises:
        JavaError: the program cannot be started, failed, or gave other lines than it was asked for.
        ImportError: pycocoevalcap is not installed.
    """
    import pycocoevalcap.tokenizer.ptbtokenizer as ptb

    jar = Path(ptb.__file__).with_name(ptb.STANFORD_CORENLP_3_4_1_JAR)
    command = [*COMMAND, "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
    command += ["-preserveLines", "-lowerCase"]
    sent = [FIRST, *(" ".join(caption.split()) for caption in captions), LAST]
    text = "".join(line + "\n" for line in sent).encode("utf-8", "replace")
    try:
        done = subprocess.run(command, input=text, capture_output=True, timeout=patience(len(sent)))
    except OSError as error:
        raise failure(error) from error
    except subprocess.TimeoutExpired as error:
        raise JavaError(f"java did not end within {error.timeout:.0f} seconds") from error
    output, errors = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    if done.returncode or not output.strip():
        said = complaint(errors, output, status=done.returncode)
        raise JavaError(f"java failed: {said}")
    lines = [line.rstrip("\r") for line in output.split("\n")]
    if (len(lines), lines[0], lines[-2:]) != (len(sent) + 1, FIRST, [LAST, ""]):
        counts = f"{len(lines) - 1} lines for {len(sent)}"
        said = f": {complaint(output)}" if lines[0] != FIRST else ""
        raise JavaError(f"java's answer is not the captions' tokens ({counts}){said}")
    punctuation = set(ptb.PUNCTUATIONS)
    return [" ".join(word for word in line.split(" ") if word not in punctuation) for line in lines[1:-2]]
