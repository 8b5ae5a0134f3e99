"""Work on millions of images: shard by shard, on any number of machines."""
