"""``captioner export``: a model as programs that run without this package."""
