"""Every recurrent cell trained alike, and how they differ: ``captioner compare``."""
