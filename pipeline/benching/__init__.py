"""Is the hardware really used: a model on every engine, claims, and the choice of the best."""
