"""What the encoder's frozen part makes of photos, computed once and kept."""
