"""Every recurrent cell trained alike, and what tells them apart: ``captioner compare``."""
