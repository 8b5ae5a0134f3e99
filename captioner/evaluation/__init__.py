"""``captioner evaluate``: captions of a split scored against its references."""
