"""How well captions match the references."""
