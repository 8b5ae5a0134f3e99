"""The same as ``captioner train``: ``python scripts/train.py --help``."""

import sys

from captioner.cli.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
