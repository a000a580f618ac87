"""Recordings of what travels between two stages, and single stages run from them."""
