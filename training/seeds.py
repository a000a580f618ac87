"""Which worlds serve what. No seed is in two lists: no score is taken on known ground."""

SAMPLE_CLIPS = {"day": 11, "dusk": 12, "crowd": 13}
"""Seeds of the clips in sample_videos/."""
TRAINING = tuple(range(1000, 1400))
"""Worlds the networks are trained on."""
VALIDATION = (8001, 8002)
"""Worlds looked at while training."""
TEST = (9001, 9002, 9003, 9004)
"""Worlds the published figures are measured on, each in every scene."""
