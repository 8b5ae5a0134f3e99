"""Where attention is drawn to: a figure or an animation per photo, or pages to explore in a browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from captioner.caption import Caption
from captioner.cli.output.records import Record
from captioner.errors import CaptionerError
from captioner.system.atomic_files import remove_unfinished
from captioner.system.outputs import FileId, file_id, free_name, refuse_existing
from captioner.visualize import animation, figure
from captioner.visualize.gallery import Item, gallery, photo_page, thumbnail
from captioner.visualize.kinds import FIGURES, PAGE, PARTS


class Drawings(Protocol):
    """Draws one photo after the other into a folder.

    Attributes:
        inputs: the photos themselves, which are never written over.
    """

    inputs: set[FileId]

    def place(self, photo: Path) -> Path:
        """The file that will be written of a photo."""

    def draw(self, photo: Path, caption: Caption, place: Path) -> None:
        """Write it."""

    def opened(self, place: Path) -> Path:
        """What a person opens to see it."""

    def drawn(self, record: Record) -> None:
        """Learn from its record what a stopped command has drawn, or, without a caption, was drawing."""

    def finish(self) -> None:
        """Write what all photos have in common."""


class Pictures:
    """A file per photo, named after it, or with a number if that exists and is not to be replaced."""

    def __init__(self, folder: Path, ending: str, overwrite: bool) -> None:
        self.folder, self.ending, self.overwrite = folder, ending, overwrite
        self.inputs: set[FileId] = set()
        self.taken: set[str] = set()
        self.begun: Path | None = None  # of a stopped command

    def place(self, photo: Path) -> Path:
        path = self.folder / f"{photo.stem}.{self.ending}"
        replaced = self.overwrite and path.is_file() and path.name.casefold() not in self.taken
        if replaced and file_id(path) not in self.inputs:
            self.taken.add(path.name.casefold())
            return path
        ours, self.begun = self.begun, None
        if ours is not None:
            remove_unfinished(ours.parent, [ours.name])
        return free_name(self.folder, photo.stem, self.ending, self.taken, ours)

    def draw(self, photo: Path, caption: Caption, place: Path) -> None:
        if self.ending in FIGURES:
            figure.save_figure(caption, place, photo.name)
        else:
            animation.save_animation(caption, place)

    def opened(self, place: Path) -> Path:
        return place

    def drawn(self, record: Record) -> None:
        path = Path(record["output"])
        if "caption" in record:
            self.taken.add(path.name.casefold())
        self.begun = None if "caption" in record else path

    def finish(self) -> None: ...


class Pages:
    """One page for one photo; for more an index, with a page and a thumbnail of each beside it."""

    def __init__(self, folder: Path, overwrite: bool, resume: bool) -> None:
        self.index, self.parts = folder / PAGE, folder / PARTS
        self.inputs: set[FileId] = set()
        self.items: list[Item] = []
        self.resumed = resume
        if resume:
            remove_unfinished(folder, [PAGE])
        else:
            refuse_existing([self.index], "--output", overwrite, "--overwrite")
            if not overwrite and os.path.lexists(self.parts):
                raise CaptionerError(f"--output: {self.parts} exists; --overwrite writes into it")

    def place(self, photo: Path) -> Path:
        place = self.parts / f"{len(self.items) + 1:05d}.html"
        if self.resumed:
            remove_unfinished(place.parent, [place.name, place.with_suffix(".jpg").name])
            self.resumed = False
        return place

    def draw(self, photo: Path, caption: Caption, place: Path) -> None:
        picture = place.with_suffix(".jpg")
        for path in (place, picture):
            if file_id(path) in self.inputs:
                raise CaptionerError(f"--output: {path} is an input, it is not written over")
        thumbnail(caption, picture)
        photo_page(caption, photo.name, place)
        self.items.append(Item(f"{PARTS}/{place.stem}", caption.text, photo.name, str(photo.parent)))

    def opened(self, place: Path) -> Path:
        return self.index

    def drawn(self, record: Record) -> None:
        if "caption" not in record:  # its number will be used again
            return
        photo, page = Path(record["path"]), Path(record["output"])
        self.items.append(Item(f"{PARTS}/{page.stem}", record["caption"], photo.name, str(photo.parent)))

    def finish(self) -> None:
        if len(self.items) == 1:
            os.replace(self.parts / "00001.html", self.index)
            (self.parts / "00001.jpg").unlink()
            if not any(self.parts.iterdir()):
                self.parts.rmdir()
        elif self.items:
            gallery(self.items, self.index)
