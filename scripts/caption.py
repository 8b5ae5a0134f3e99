"""The same as ``captioner caption``: ``python scripts/caption.py --help``."""

import sys

from captioner.cli.main import main

if __name__ == "__main__":
    main(["caption", *sys.argv[1:]])
