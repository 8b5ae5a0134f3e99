"""Caption files, one format a file."""
