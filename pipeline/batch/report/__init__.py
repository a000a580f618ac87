"""What people are shown of a batch: a digest of each video, and one page of all."""
