"""The same as ``captioner evaluate``: ``python scripts/evaluate.py --help``."""

import sys

from captioner.cli.main import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
