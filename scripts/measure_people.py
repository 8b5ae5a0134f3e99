"""How often a model's captions call people in photos by words for women and men.

    captioner evaluate data=flickr8k data.root=FLICKR8K split=dev output=SCORES
    python scripts/measure_people.py --root FLICKR8K SCORES/captions.json

Counts the photos of the development split that at least three references call by a word of one kind and none
by one of the other, and of these the captions with a word of the same kind, and with one of the other alone.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from captioner.config.data import Flickr8kConfig
from captioner.data.load import load_split

WORDS = {
    "women": {"woman", "women", "girl", "girls", "lady", "ladies", "female", "females"},
    "men": {"man", "men", "boy", "boys", "guy", "guys", "male", "males"},
}
ENOUGH = 3  # references, of five


def says(caption: str, kind: str) -> bool:
    """Whether a caption has a word of a kind."""
    return not WORDS[kind].isdisjoint(re.findall("[a-z]+", caption.lower()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of Flickr8k")
    parser.add_argument("captions", type=Path, help="captions.json of captioner evaluate")
    options = parser.parse_args()
    captions = {
        str(entry["image_id"]): entry["caption"] for entry in json.loads(options.captions.read_text())
    }
    records = load_split(Flickr8kConfig(root=options.root), "dev")
    for kind, other in (("women", "men"), ("men", "women")):
        said = [
            captions[str(record.image_id)]
            for record in records
            if sum(says(caption, kind) for caption in record.captions) >= ENOUGH
            and not any(says(caption, other) for caption in record.captions)
        ]
        same = sum(says(caption, kind) for caption in said)
        swapped = sum(says(caption, other) and not says(caption, kind) for caption in said)
        print(f"{kind}: {len(said)} photos, the same word on {same}, a word for {other} alone on {swapped}")


if __name__ == "__main__":
    main()
