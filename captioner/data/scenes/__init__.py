"""Generated scenes of coloured shapes."""
