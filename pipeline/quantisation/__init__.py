"""Networks in eight bits: what they are calibrated with, how good they are, and the best choice."""
