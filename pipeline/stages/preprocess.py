"""preprocess: the decoded picture becomes a network's input."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from engines.errors import EngineError
from engines.program import Kernel
from pipeline.config import PreprocessConfig
from pipeline.errors import StageError
from pipeline.kernels.letterbox import letterbox
from pipeline.media.picture import BgrPicture, Picture
from pipeline.media.preprocess import Preprocessor
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import Packet, Status
from pipeline.payloads import Decoded, ModelInput
from pipeline.planning import Plan, Planner
from pipeline.stage import Stage

#: Sizes of pictures whose kernels are kept: a broken camera may have a new one each frame.
MOST_SIZES = 16


class PreprocessStage(Stage[Decoded, ModelInput]):
    """Resizes, converts and normalises, as the model's manifest says.

    Args:
        preprocessor: stateless; may be shared between copies.
        fast: scales the decoder's planes and converts the small picture; else converts first.
    """

    consumes = Decoded
    produces = ModelInput
    looks = True

    def __init__(self, preprocessor: Preprocessor, fast: bool = True) -> None:
        self._preprocessor = preprocessor
        self._fast = fast

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[ModelInput]]:
        picture = packet.payload.picture
        if not packet.seen:
            return (packet.carrying(_nothing(picture, self._preprocessor)),)
        pixels = picture if self._fast else BgrPicture(picture.bgr())
        tensor, placement = self._preprocessor(pixels)
        return (packet.carrying(ModelInput(picture, tensor, placement)),)


class BoundPreprocessStage(BoundStage[Decoded, ModelInput]):
    """The same on an engine, which gets the whole picture as BGR.

    A kernel is made for one size of picture; that of the first frame of a new size is loaded when
    the frame comes. Where the engine fails, the frame is blind.

    Args:
        preprocessor: stateless; may be shared between copies.
        bind: puts a kernel on the stage's engines.
    """

    consumes = Decoded
    produces = ModelInput
    looks = True

    def __init__(self, preprocessor: Preprocessor, bind: Callable[[Kernel], BoundNetwork]) -> None:
        self._preprocessor = preprocessor
        self._bind = bind
        width, height = preprocessor.size
        first = bind(letterbox(preprocessor, width, height))
        # So that an engine that cannot run it is told before the first frame.
        self._by_size = {(width, height): first}
        super().__init__(first)

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[ModelInput]]:
        picture = packet.payload.picture
        if not packet.seen:
            return (packet.carrying(_nothing(picture, self._preprocessor)),)
        placement = self._preprocessor.placement(picture.width, picture.height)
        try:
            network = self._network(picture.width, picture.height)
            tensor = network.run(picture.bgr()[None])[self._preprocessor.output.name]
        except (EngineError, StageError) as error:
            blind = packet.marked(Status.BLIND, f"preprocess: {error}")
            return (blind.carrying(_nothing(picture, self._preprocessor)),)
        return (packet.carrying(ModelInput(picture, tensor, placement)),)

    def _network(self, width: int, height: int) -> BoundNetwork:
        network = self._by_size.get((width, height))
        if network is None:
            if len(self._by_size) == MOST_SIZES:
                self._let_go(self._by_size.pop(next(iter(self._by_size))))
            network = self._bind(letterbox(self._preprocessor, width, height))
            network.open()
            self._by_size[width, height] = network
            self._networks.append(network)
        return network


def _nothing(picture: Picture, preprocessor: Preprocessor) -> ModelInput:
    """What a frame goes on with that no detector is to see."""
    placement = preprocessor.placement(picture.width, picture.height)
    return ModelInput(picture, np.empty(0, np.float32), placement)


def plan(planner: Planner, name: str, config: PreprocessConfig) -> Plan:
    """The stage for the configured model's input, on the configured engine if there is one."""
    package = planner.model(name, ("detect", "rpn"), config.model, config.weights)
    preprocessor = planner.preprocessor(name, package, config.size)
    if not config.engine:
        return Plan(PreprocessStage, lambda run: PreprocessStage(preprocessor, config.fast))
    example = letterbox(preprocessor, *preprocessor.size)
    bind, binding = planner.kernels(name, config, example)
    return Plan(BoundPreprocessStage, lambda run: BoundPreprocessStage(preprocessor, bind), binding)
