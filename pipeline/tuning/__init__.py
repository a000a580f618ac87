"""The parameters of a tracker, searched on sequences whose truth is known."""
