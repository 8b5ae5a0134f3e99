"""``captioner caption PATH... --checkpoint FILE``."""

from __future__ import annotations

import os
import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from captioner.cli.output.formats import CAPTION_FORMATS, Format
from captioner.cli.output.journal import Journal, journal, part_of
from captioner.cli.output.metadata import Metadata
from captioner.cli.output.records import add_wording, wording
from captioner.cli.output.sidecars import SIDECARS
from captioner.cli.output.stream import Stream, stream
from captioner.cli.parsing import Parser
from captioner.cli.photos import Photos, photo_parser
from captioner.cli.shards import add_shards, caption_shards, has_shards
from captioner.errors import CaptionerError
from captioner.system.outputs import is_stream, refuse_input

LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")  # of RFC 5646, without its finer points


def parser() -> Parser:
    """The command's options."""
    parser = photo_parser("caption", "Caption images.")
    written = parser.add_argument_group("what is written")
    written.add_argument(
        "--format",
        choices=(*CAPTION_FORMATS, *SIDECARS, "parquet"),
        help="text: path, tab, caption; jsonl; json and csv: also for exiftool's -json= and -csv=; txt: "
        "photo.txt beside each photo; xmp: photo.jpg.xmp beside it, for photo managers (default: as "
        "--output ends, else text); of shards: jsonl (default) or parquet",
    )
    written.add_argument(
        "--output",
        metavar="FILE",
        type=os.path.expanduser,
        help="write one file, rather than print; of shards: a folder",
    )
    written.add_argument(
        "--resume", action="store_true", help="continue a stopped command, or add new images to a file"
    )
    written.add_argument(
        "--retry-errors", action="store_true", help="with --resume, or of shards: read failed images again"
    )
    written.add_argument("--overwrite", action="store_true", help="replace what exists")
    written.add_argument(
        "--write-metadata",
        action="store_true",
        help="also write captions into the photos (EXIF, IPTC, XMP) with exiftool",
    )
    written.add_argument(
        "--language-tag", default="en", metavar="TAG", help="of XMP descriptions (default: %(default)s)"
    )
    add_wording(written)
    add_shards(
        parser.add_argument_group(
            "shards",
            "WebDataset tars, lists of paths (.txt) and Parquet files, by path, pattern such as "
            "'{00000..00099}.tar', or address such as s3://; with --shards or --ray folders too. Each has an "
            "output, of records with key, place, caption, words, log_prob, or error; those that exist are "
            "left out, so the same command continues. captioner merge joins them. See docs/scale.md.",
        )
    )
    return parser


def run(arguments: Sequence[str]) -> int:
    """Print or write one caption per image, in order; 1 if an image could not be captioned."""
    options = parser().parse_args(arguments)
    if has_shards(options):
        return caption_shards(options)
    _check(options)
    return _caption(options)


def _check(options: Namespace) -> None:
    """Settle the format, and refuse what does not go together, before anything is read."""
    ending = Path(options.output or "").suffix.lower().lstrip(".")
    by_ending = {e: name for name, format in CAPTION_FORMATS.items() for e in format.endings}
    if options.format == "parquet":
        raise CaptionerError("--format: parquet is for shards, that is with tars, lists, --shards or --ray")
    if options.format in SIDECARS and options.output is not None:
        raise CaptionerError(f"--output: --format {options.format} writes beside each photo")
    if ending and ending not in by_ending and _is_photo(ending):
        raise CaptionerError(f"--output: {options.output} would be a photo by its name, not captions")
    if options.format is None:
        options.format = by_ending.get(ending, "text")
    elif options.format != by_ending.get(ending, options.format):
        usual = CAPTION_FORMATS[options.format].endings[0]
        raise CaptionerError(f"--output: {options.output} does not fit --format {options.format} (.{usual})")
    for flag in ("resume", "overwrite"):
        needless = options.output is None and options.format not in SIDECARS and not options.write_metadata
        if getattr(options, flag) and needless:
            raise CaptionerError(f"--{flag}: needs --output FILE, or another place that captions are kept in")
    if options.resume and options.overwrite:
        raise CaptionerError("--resume: continues what --overwrite would replace; give one of them")
    if options.retry_errors and not options.resume:
        raise CaptionerError("--retry-errors: needs --resume")
    if not LANGUAGE_TAG.fullmatch(options.language_tag):
        raise CaptionerError(f"--language-tag: {options.language_tag!r} is not a tag such as en or pt-BR")


def _is_photo(ending: str) -> bool:
    from captioner.data.photos.formats import extensions  # which imports Pillow

    return f".{ending}" in extensions()


def _caption(options: Namespace) -> int:
    photos, words = Photos(options), wording(options)
    photos.find_first()
    with ExitStack() as stack:
        metadata = None
        if options.write_metadata:
            metadata = stack.enter_context(Metadata(options.language_tag, options.overwrite))
        sidecar = SIDECARS.get(options.format)
        kept = stack.enter_context(_kept(options))

        def refused(path: Path) -> CaptionerError | None:
            if options.output is not None:
                for output in (Path(options.output), part_of(Path(options.output))):
                    refuse_input(output, [path], "--output")
            try:
                if sidecar is not None:
                    sidecar.check(path, options.overwrite)
                if metadata is not None:
                    metadata.check(path)
            except CaptionerError as error:
                return error
            return None

        def done(path: Path) -> bool:
            return options.resume and sidecar is not None and os.path.lexists(sidecar.name(path))

        results = photos.captions(False, kept.recorded, done, refused, shown=options.output is not None)
        for path, result in results:
            record = words.record(path, result)
            try:
                if record.get("caption") and sidecar is not None:
                    sidecar.write(path, record["caption"], options.language_tag)
                if record.get("caption") and metadata is not None:
                    metadata.write(path, record["caption"])
            except CaptionerError as error:
                record = {"path": str(path), "error": str(error)}
            kept.write(record)
            if "error" in record and options.format in ("text", *SIDECARS):
                print(f"captioner: {record['error']}", file=sys.stderr)
    return photos.close(kept.total, kept.failed)


def _kept(options: Namespace) -> AbstractContextManager[Journal | Stream]:
    """Where records go: a file that appears when it is complete, or a stream."""
    written_as = CAPTION_FORMATS.get(options.format, Format())
    output = None if options.output is None else Path(options.output)
    if output is None or is_stream(output):
        if output is not None and options.resume:
            raise CaptionerError(f"--resume: {output} is not a file")
        return stream(output, written_as)
    return journal(output, written_as, options.resume, options.overwrite, options.retry_errors)
