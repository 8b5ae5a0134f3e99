"""Where the model looked: figures, animations and a page."""
