"""``python -m captioner`` is the ``captioner`` command."""

from captioner.cli.main import main

if __name__ == "__main__":
    main()
