"""``captioner check``: a whole dataset examined before it is trained on."""
