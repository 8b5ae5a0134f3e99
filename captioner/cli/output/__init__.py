"""What `captioner caption` writes: records, in one file or beside and within the photos."""
