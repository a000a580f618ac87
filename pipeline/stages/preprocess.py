"""preprocess: the decoded picture becomes a network's input."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.config import PreprocessConfig
from pipeline.media.picture import BgrPicture
from pipeline.media.preprocess import Preprocessor
from pipeline.packet import Packet
from pipeline.payloads import Decoded, ModelInput
from pipeline.planning import Plan, Planner
from pipeline.stage import Stage


class PreprocessStage(Stage[Decoded, ModelInput]):
    """Resizes, converts and normalises, as the model's manifest says.

    Args:
        preprocessor: stateless; may be shared between copies.
        fast: scales the decoder's planes and converts the small picture; else converts first.
    """

    consumes = Decoded
    produces = ModelInput

    def __init__(self, preprocessor: Preprocessor, fast: bool = True) -> None:
        self._preprocessor = preprocessor
        self._fast = fast

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[ModelInput]]:
        picture = packet.payload.picture
        pixels = picture if self._fast else BgrPicture(picture.bgr())
        tensor, placement = self._preprocessor(pixels)
        return (packet.carrying(ModelInput(picture, tensor, placement)),)


def plan(planner: Planner, name: str, config: PreprocessConfig) -> Plan:
    """The stage for the configured model's input."""
    package = planner.model(name, "detect", config.model, config.weights)
    preprocessor = planner.preprocessor(name, package)
    return Plan(PreprocessStage, lambda run: PreprocessStage(preprocessor, config.fast))
