"""Photos of any format, source and state as pixels."""
