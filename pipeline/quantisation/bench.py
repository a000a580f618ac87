"""Where choices are tried: one network on one device, calibrated and measured on one source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engines import Network
from engines.sim_npu import profiles
from engines.sim_npu.artefact import Artefact
from engines.sim_npu.compiler.blame import Blame, blame
from engines.sim_npu.compiler.compile import Choice, finish, prepare, quantised, told
from pipeline.models.comparison import natural_engine, run
from pipeline.models.subject import Subject
from pipeline.quantisation.inputs import Request, gather
from pipeline.quantisation.quality import judge_of, on_device
from pipeline.quantisation.search import Trial, choices

#: Held-out samples that the loss of each layer is told of.
PROBES = 2
#: Hears what is being done.
Listener = Callable[[str], None]


class Bench:
    """One network and one device: makes artefacts, and measures them.

    Args:
        network: ONNX, with declared tensors.
        subject: that it is a variant of.
        profile: name of a device profile, or a YAML file with one.
        request: what it is calibrated with.
        classes: of a detector, those its quality is measured on; None for all.
        listener: hears what is being done.

    Attributes:
        prepared: the network.
        device: the profile.
        told_of: the samples it is calibrated with and measured on, in words.
        judge: says how good an artefact is.

    Raises:
        EngineError: the network cannot be read or run.
        DataError, SourceError: the calibration is of no use.
    """

    def __init__(
        self,
        network: Network,
        subject: Subject,
        profile: str,
        request: Request,
        classes: Sequence[str] | None,
        listener: Listener,
    ) -> None:
        self.device, self._profile, self._hear = profiles.find(profile), profile, listener
        listener(f"reading {request.name}")
        material = gather(network.inputs, subject.manifest, request)
        self._integers = self.device.precision == "int8"
        self._held_out, self.told_of = material.held_out, material.told
        listener(f"running the network over {len(material.calibration)} samples")
        inputs = [sample.tensors for sample in material.held_out]
        self._probes = inputs[:PROBES]
        expected = run(natural_engine(network), network, inputs)
        self.judge = judge_of(subject.manifest, material, expected, classes)
        self.prepared = prepare(network.path, (sample.tensors for sample in material.calibration))

    def choices(self, base: Choice, method: str | None, per_channel: bool | None) -> list[Choice]:
        """As `search.choices`; where no ranges are needed there is nothing to choose."""
        if self.prepared.given is not None or not self._integers:
            return [base]
        return choices(base, method, per_channel)

    def attempt(self, choice: Choice) -> Trial:
        """An artefact made in this way, as measured on the device."""
        self._hear(f"trying {spoken(told(self.prepared, self.device, choice))}")
        artefact = finish(self.prepared, self.device, choice)
        found = on_device(artefact, self._profile, self._held_out)
        return Trial.of(choice, artefact, self.judge(found))

    def blame(self, choice: Choice) -> list[Blame]:
        """What each layer costs, the worst first; nothing on a device that computes in floats."""
        self._hear("looking for the layers to blame")
        return blame(quantised(self.prepared, choice), self._probes) if self._integers else []

    def suspects(self, choice: Choice) -> list[tuple[str, ...]]:
        """The nodes that go to the host with each layer, the costliest first."""
        return [one.keep for one in self.blame(choice)]

    def artefact(self, choice: Choice) -> Artefact:
        """An artefact that also reports what every tensor holds."""
        self._hear(f"taking {spoken(told(self.prepared, self.device, choice))}")
        return finish(self.prepared, self.device, choice, self._probes)


def spoken(choice: Mapping[str, Any]) -> str:
    """A choice, as reports have it, in a few words."""
    words = [choice["method"]]
    if choice["per_channel"] is not None:
        words.append(f"weights by {'channel' if choice['per_channel'] else 'layer'}")
    if kept := len(choice["keep_float"]):
        words.append(f"{kept} nodes in float")
    return ", ".join(words)
