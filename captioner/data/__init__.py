"""From caption files and images to the batches that a model reads."""
