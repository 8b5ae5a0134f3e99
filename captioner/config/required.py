"""The mark of a value that has no default."""

REQUIRED = "???"  # omegaconf's
