"""From a configuration to a trained model in its run folder: ``captioner train``."""
