"""Smaller networks from a trained one: channels taken out, layers split in two of lower rank.

An ONNX model in, another one out with the same inputs and outputs; nothing is trained here, so what
is lost stays lost until somebody trains the result further.
"""

from engines.compress.factorisation import factorise
from engines.compress.layers import Change, Compressed
from engines.compress.pruning import prune

__all__ = ["Change", "Compressed", "factorise", "prune"]
