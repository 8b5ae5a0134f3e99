"""Configuration: every value declared once, composed by Hydra, read strictly."""
