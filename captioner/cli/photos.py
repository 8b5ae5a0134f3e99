"""What the commands that read photos share: their arguments, and the captions one by one."""

from __future__ import annotations

import argparse
import difflib
import glob
import itertools
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from captioner.cli.options import add_flags, from_flags
from captioner.cli.parsing import Parser, add_checkpoint, add_device
from captioner.config.schema import MOST_WORKERS
from captioner.config.search import SEARCHED_TOGETHER, SearchConfig
from captioner.config.training import LARGEST_BATCH
from captioner.errors import CaptionerError, check_range, printable
from captioner.system.outputs import FileId, file_id
from captioner.system.terminal import no_bar

URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

if TYPE_CHECKING:
    from captioner.caption import Caption

    Result = Caption | CaptionerError


def photo_parser(command: str, description: str) -> Parser:
    """A parser with the arguments that every command on photos has."""
    parser = Parser(command, description)
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="an image, a folder (with its subfolders), a glob pattern, or - for paths on standard input",
    )
    add_checkpoint(parser)
    default = " (default: %(default)s)"
    parser.add_argument(
        "--batch-size", type=int, default=SEARCHED_TOGETHER, metavar="N", help="images at a time" + default
    )
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="threads that decode images" + default
    )
    add_device(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no closing line")
    found = parser.add_argument_group("which images")
    found.add_argument("--no-recursive", action="store_true", help="leave out the subfolders of folders")
    found.add_argument(
        "--exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="leave out names like this, or paths if it has a slash, such as '*_small.jpg'; may be repeated",
    )
    found.add_argument(
        "--null",
        action="store_true",
        help="-0 for short: paths on standard input end with a zero byte, as find -print0 writes them",
    )
    found.add_argument(
        "--accept-truncated", action="store_true", help="caption what there is of a photo that was cut off"
    )
    add_flags(parser.add_argument_group("search"), SearchConfig)
    return parser


class Photos:
    """The images of a command line and their captions.

    Args:
        outputs: folders that the command writes to; what is in them is left out of folders and patterns.

    Attributes:
        total, failed: images that were captioned or could not be read, and the latter alone.
        unfamiliar: those that are unlike what the model knows.
    """

    def __init__(self, arguments: argparse.Namespace, outputs: Sequence[Path] = ()) -> None:
        self.arguments = arguments
        self.options = from_flags(SearchConfig, arguments)
        check_range(arguments.batch_size, "--batch-size", low=1, high=LARGEST_BATCH)
        check_range(arguments.workers, "--workers", low=0, high=MOST_WORKERS)
        from captioner.data.photos.find import Finder

        self.finder = Finder(not arguments.no_recursive, arguments.exclude, arguments.null, outputs)
        if len(arguments.paths) > 1 or arguments.paths == ["-"]:
            self.finder.empty = {}  # the others go on
        self._ahead: Iterator[Path] | None = None
        self.total = self.failed = self.unfamiliar = 0

    def captions(
        self,
        attention: bool,
        skip: Counter[str] | None = None,
        done: Callable[[Path], bool] = lambda path: False,
        refused: Callable[[Path], CaptionerError | None] = lambda path: None,
        shown: bool = True,
    ) -> Iterator[tuple[Path, Result]]:
        """Every image with its caption or its error, in order, as they are done.

        The first image is found before the model is loaded.

        Args:
            skip: paths to leave out, each as often as it is counted.
            done: whether a path is to be left out, being captioned already.
            refused: says why an image is not to be read, which then is its result; or raises to stop.
            shown: whether there is a progress bar on a terminal.
        """
        self.find_first()
        images = self._found(Counter(skip), done)
        first = next(images, None)
        if first is None:
            return
        # not before the arguments are known to be right: torch alone takes seconds
        from captioner.predictor import load
        from captioner.system.device import keep_memory

        keep_memory()
        if self.arguments.accept_truncated:
            from PIL import ImageFile

            ImageFile.LOAD_TRUNCATED_IMAGES = True
        predictor = load(self.arguments.checkpoint, self.arguments.device, self.arguments.precision)
        waiting: list[tuple[Path, CaptionerError | None]] = []  # read ahead by a batch or two

        def sources() -> Iterator[Path]:
            for path in itertools.chain([first], images):
                waiting.append((path, (self.finder.empty or {}).get(path) or refused(path)))
                if waiting[-1][1] is None:
                    yield path

        def refusals() -> Iterator[tuple[Path, Result]]:
            while waiting and (error := waiting[0][1]) is not None:
                yield waiting.pop(0)[0], error

        results = predictor.caption_many(
            sources(), self.options, attention, self.arguments.batch_size, self.arguments.workers
        )
        with self._bar(shown) as bar:
            for result in results:
                yield from self._counted(refusals(), bar)
                yield from self._counted([(waiting.pop(0)[0], result)], bar)
            yield from self._counted(refusals(), bar)

    def find_first(self) -> None:
        """Find the first image, before anything is loaded or written.

        Raises:
            CaptionerError: a folder or a pattern holds none, or a path is an address or a missing folder.
        """
        if self._ahead is not None:
            return
        for path in self.arguments.paths:
            if URL.match(path):
                raise CaptionerError(f"{path}: is an address on the web; download the photo first")
            if (
                path != "-"
                and not glob.has_magic(path)
                and not Path(path).suffix
                and not os.path.lexists(path)
            ):
                near = difflib.get_close_matches(path, glob.glob(f"{glob.escape(os.path.dirname(path))}*"), 1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                raise CaptionerError(f"{printable(path)}: there is no such folder or image{hint}")
        found = self.finder.find(self.arguments.paths)
        self._ahead = itertools.chain([first] if (first := next(found, None)) else [], found)

    def all_inputs(self) -> set[FileId]:
        """Every image that there will be, found ahead of all captions."""
        self.find_first()
        paths = list(self._ahead or ())
        self._ahead = iter(paths)
        return {found for path in paths if (found := file_id(path)) is not None}

    def _found(self, skip: Counter[str], done: Callable[[Path], bool]) -> Iterator[Path]:
        for path in self._ahead or ():
            if skip[str(path)] > 0:
                skip[str(path)] -= 1
            elif not done(path):
                yield path

    def _counted(self, results: Iterable[tuple[Path, Result]], bar: tqdm) -> Iterator[tuple[Path, Result]]:
        for path, result in results:
            self.total += 1
            self.failed += isinstance(result, CaptionerError)
            self.unfamiliar += not isinstance(result, CaptionerError) and result.unfamiliar
            yield path, result
            bar.update()

    def _bar(self, shown: bool) -> tqdm:
        """A progress bar where somebody sees it; its total is counted first, unless paths come by a pipe."""
        hidden = no_bar(shown and not self.arguments.quiet)
        total = None
        if not hidden and "-" not in self.arguments.paths:
            again = replace(self.finder, left_out=Counter())
            total = sum(1 for _ in again.find(self.arguments.paths))
        return tqdm(total=total, unit="photo", disable=hidden, dynamic_ncols=True)

    def close(self, total: int | None = None, failed: int | None = None) -> int:
        """Print the closing line, and return the exit status: 1 if an image could not be captioned.

        Args:
            total, failed: with what was recorded before.
        """
        total, failed = self.total if total is None else total, self.failed if failed is None else failed
        told = [f"{total - failed:,} captioned"]
        told += [f"{self.unfamiliar:,} unlike what the model knows"] * bool(self.unfamiliar)
        told += [f"{failed:,} could not be read"] * bool(failed)
        told += [account] if (account := self.finder.account()) else []
        if not self.arguments.quiet and len(told) > 1:
            print(f"captioner: {', '.join(told)}", file=sys.stderr)
        return 1 if failed else 0
