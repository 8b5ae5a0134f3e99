"""Whether attention maps can be believed: ``captioner evaluate grounding=true``."""
