"""Captions within the photos, as EXIF, IPTC and XMP; exiftool writes them and leaves the pixels alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType

from captioner.errors import CaptionerError

READY = b"{ready}"
READ = ("EXIF:ImageDescription", "IPTC:Caption-Abstract", "XMP-dc:Description")
ENCODED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


class Metadata:
    """One exiftool process for many photos (https://exiftool.org, ``-stay_open``).

    Args:
        language: tag of the captions' language, such as ``en``.
        overwrite: replace descriptions that there are.

    Raises:
        CaptionerError: exiftool is not installed.
    """

    def __init__(self, language: str, overwrite: bool) -> None:
        program = shutil.which("exiftool")
        if program is None:
            raise CaptionerError("--write-metadata: needs exiftool (https://exiftool.org) on the PATH")
        self.language, self.overwrite = language, overwrite
        command = [program, "-stay_open", "True", "-@", "-", "-common_args", "-charset", "iptc=utf8"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def check(self, photo: Path) -> None:
        """Refuse a photo that has a description, unless it may be replaced.

        Raises:
            CaptionerError: names the photo and the field.
        """
        if self.overwrite:
            return
        answer = self._run(["-j", "-G1", *(f"-{tag}" for tag in READ), *self._named(photo)])
        try:
            found = json.loads(answer[answer.index("[") :])[0]
        except (ValueError, IndexError):
            raise CaptionerError(f"{photo}: exiftool cannot read it ({_line(answer)})") from None
        for tag, text in found.items():
            if tag != "SourceFile" and str(text).strip():
                raise CaptionerError(f"{photo}: has a description ({tag}); --overwrite replaces it")

    def write(self, photo: Path, caption: str) -> None:
        """Write the caption into the photo's file.

        Raises:
            CaptionerError: exiftool cannot write it, with its reason.
        """
        tags = [
            f"-EXIF:ImageDescription={caption}",
            "-IPTC:CodedCharacterSet=UTF8",
            f"-IPTC:Caption-Abstract={caption}",
        ]
        for tag in ("XMP-dc:Description", "XMP-iptcCore:AltTextAccessibility"):
            tags += [f"-{tag}=", f"-{tag}={caption}", f"-{tag}-{self.language}={caption}"]
        answer = self._run(["-overwrite_original", "-P", *tags, *self._named(photo)])
        if "1 image files updated" not in answer:
            raise CaptionerError(f"{photo}: exiftool cannot write it ({_line(answer)})")

    def _run(self, arguments: list[str]) -> str:
        """What exiftool prints for some arguments, each of which is one line that it reads."""
        lines = [f"#[CSTR]{argument.translate(ENCODED)}" for argument in arguments]
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write("\n".join([*lines, "-execute\n"]).encode("utf-8", "surrogateescape"))
            stdin.flush()
            answer: list[bytes] = []
            while not (line := stdout.readline()).startswith(READY):
                if not line:
                    raise CaptionerError(
                        f"--write-metadata: exiftool ended ({_line(b''.join(answer).decode())})"
                    )
                answer.append(line)
        except BrokenPipeError:
            raise CaptionerError("--write-metadata: exiftool ended") from None
        return b"".join(answer).decode("utf-8", "surrogateescape")

    def _named(self, photo: Path) -> list[str]:
        return [os.path.realpath(photo)]  # a link stays a link, and no name begins with a dash

    def __enter__(self) -> Metadata:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(b"-stay_open\nFalse\n")
            stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait(timeout=30)


def _line(answer: str) -> str:
    return " ".join(answer.split()) or "no reason given"
