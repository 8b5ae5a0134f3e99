"""From annotations to words: search, and what explains a caption afterwards."""
