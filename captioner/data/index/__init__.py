"""Records of millions of photos in a memory-mapped Arrow file, so that no process holds them."""
