"""Captions beside the photos: ``photo.txt`` for training tools, ``photo.jpg.xmp`` for photo managers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from captioner.errors import CaptionerError
from captioner.system.atomic_files import write_whole

TOOLKIT = "captioner"  # of the XMP files that we wrote, which may be replaced
# Adobe's XMP specification, part 1 (ISO 16684-1); IPTC Photo Metadata Standard 2021.1 for alt text
XMP = """\
<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk='{toolkit}'>
 <rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
  <rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/'
    xmlns:Iptc4xmpCore='http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/'>
   <dc:description>{text}</dc:description>
   <Iptc4xmpCore:AltTextAccessibility>{text}</Iptc4xmpCore:AltTextAccessibility>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end='w'?>
"""


@dataclass(frozen=True)
class Sidecar:
    """A file beside each photo.

    Attributes:
        name: of the sidecar of a photo.
        content: of the sidecar that holds a caption in a language.
        ours: whether an existing sidecar may be replaced when the user says so.
    """

    name: Callable[[Path], Path]
    content: Callable[[str, str], str]
    ours: Callable[[bytes], bool]

    def check(self, photo: Path, overwrite: bool) -> None:
        """Refuse to replace what exists.

        Raises:
            CaptionerError: names the sidecar.
        """
        path = self.name(photo)
        if not os.path.lexists(path):
            return
        if not overwrite:
            raise CaptionerError(f"{path}: exists, so {photo} is left out; --overwrite replaces it")
        if not path.is_file() or not self.ours(path.read_bytes()):
            raise CaptionerError(f"{path}: was written by another program, so {photo} is left out")

    def write(self, photo: Path, caption: str, language: str) -> None:
        """Write the sidecar whole.

        Raises:
            CaptionerError: it cannot be written.
        """
        write_whole(self.name(photo), self.content(caption, language), "--format")


def _xmp(caption: str, language: str) -> str:
    tags = dict.fromkeys(("x-default", language))
    items = "".join(f"<rdf:li xml:lang='{tag}'>{escape(caption)}</rdf:li>" for tag in tags)
    return XMP.format(toolkit=TOOLKIT, text=f"<rdf:Alt>{items}</rdf:Alt>")


SIDECARS = {
    "txt": Sidecar(
        lambda photo: photo.with_suffix(".txt"), lambda caption, _: caption + "\n", lambda content: True
    ),
    "xmp": Sidecar(
        lambda photo: photo.with_name(f"{photo.name}.xmp"),
        _xmp,
        lambda content: f"x:xmptk='{TOOLKIT}'".encode() in content,
    ),
}
