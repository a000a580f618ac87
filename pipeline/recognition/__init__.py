"""What second networks say about single objects: their attributes."""
