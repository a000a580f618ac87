"""Archives: many videos, seen by several processes, followed in order, with results that last."""
