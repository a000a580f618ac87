"""What a stage's plan is made with: models, engines and labels, and errors that say where.

Each file in `stages/` has a `plan` beside its stage; it turns the stage's part of the configuration
into a `Plan`, with the help of the `Planner`. Nothing is loaded into an engine here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel

import engines.registry
from engines.base import Engine
from engines.breaker import Breaker
from engines.errors import EngineError
from engines.failover import Candidate
from engines.program import Kernel, Network
from pipeline.analytics.rules import AnyRule
from pipeline.benching.choice import choose
from pipeline.config import EngineConfig, PipelineConfig
from pipeline.config.base import AUTO
from pipeline.config.problem import suggest
from pipeline.config.stages import AnalyseConfig, KernelConfig, NetworkConfig, StageConfig
from pipeline.errors import ConfigError, ModelError, SightlineError
from pipeline.graph import Binding
from pipeline.media.preprocess import Preprocessor
from pipeline.models.manifest import Task
from pipeline.models.package import ModelPackage, load_model
from pipeline.network import BoundNetwork
from pipeline.stage import Run, Stage

AnyConfig = TypeVar("AnyConfig", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Plan:
    """A stage that could be made.

    Attributes:
        stage: its class.
        make: makes one copy, for one worker of one run.
        binding: what it will run on.
        returns_to: an earlier stage to which it gives back, see `Node`.
    """

    stage: type[Stage[Any, Any]]
    make: Callable[[Run], Stage[Any, Any]]
    binding: Binding = field(default_factory=Binding)
    returns_to: str = ""


class Planner:
    """The models and engines of one configuration.

    Args:
        config: complete, as `pipeline.config.load` gives it.
    """

    def __init__(self, config: PipelineConfig) -> None:
        self.config = config
        self._models: dict[tuple[str, str | None], ModelPackage] = {}
        self._noted: list[object] = []

    def signature(self, stage: StageConfig, plan: Callable[[], Plan]) -> tuple[Plan, object]:
        """A stage's plan, and what it was made from, to be compared with another's.

        That is its configuration without its place in the graph, and all that the plan asked for:
        models, engines, labels, other stages.
        """
        self._noted = []
        made = plan()
        own = stage.model_dump(exclude={"after", "queue", "on_full", "batch"})
        return made, (own, made.stage, tuple(self._noted))

    def note(self, fact: object) -> None:
        """A stage depends on this, which it did not get from here."""
        self._noted.append(fact)

    def model(
        self, stage: str, task: Task | tuple[Task, ...], name: str, weights: str | None = None
    ) -> ModelPackage:
        """The verified model of that name, for `stage`, which needs one of that task or of these.

        Raises:
            ConfigError: no such model, damaged, for another task, or not licensed for this use.
        """
        package = self._package(stage, task, name, weights)
        self.note(package)
        return package

    def _package(
        self, stage: str, task: Task | tuple[Task, ...], name: str, weights: str | None
    ) -> ModelPackage:
        key = (name, weights)
        with self.located("stages", stage, "weights" if weights else "model"):
            if key not in self._models:
                self._models[key] = load_model(name, weights=weights)
            package = self._models[key]
            found, wanted = package.manifest.task, (task,) if isinstance(task, str) else task
            if found not in wanted:
                raise ModelError(f"model {package.name} is for {found}, not {' or '.join(wanted)}")
            if package.sealed:
                package.sealed.require_use(found, len(self.config.cameras))
        return package

    def preprocessor(
        self, stage: str, package: ModelPackage, size: tuple[int, int] | None = None
    ) -> Preprocessor:
        """What makes the model's input of a picture.

        Args:
            stage: for messages.
            package: of the model.
            size: width and height of the input, pixels, where the network takes any; None as the
                model says.

        Raises:
            ConfigError: such an input cannot be made, or the network takes another size.
        """
        manifest = package.manifest
        assert manifest.preprocess is not None  # `load_model` refuses such a manifest
        with self.located("stages", stage, "size" if size else "model"):
            tensor = package.input
            spec = manifest.preprocess
            if size is not None:
                spec = spec.model_copy(update={"size": size})
            try:
                width, height = manifest.model_copy(update={"preprocess": spec}).input_size
            except ValueError as error:
                raise ModelError(f"{package.name}: {error}") from None
            return Preprocessor(spec, width, height, tensor.dtype, tensor.layout)

    def ahead(self, stage: str, kind: type[AnyConfig]) -> tuple[str, AnyConfig]:
        """The nearest stage of a kind before `stage`, as that joins no branches; with its name.

        Raises:
            ConfigError: there is none.
        """
        name = stage
        while name in self.config.stages:
            config = self.config.stages[name]
            if isinstance(config, kind):
                self.note(config)
                return name, config
            name = config.after[0]
        wanted = kind.model_fields["kind"].default if "kind" in kind.model_fields else "tracker"
        where = self.config.where("stages", stage)
        raise ConfigError(f"{where}: there is no {wanted} before it; put one there")

    def all_ahead(self, stage: str, kind: type[AnyConfig]) -> dict[str, AnyConfig]:
        """Every stage of a kind before `stage`, on any branch, by its name."""
        found: dict[str, AnyConfig] = {}
        for name in self.config.stages[stage].after:
            config = self.config.stages.get(name)
            if isinstance(config, kind):
                found[name] = config
            if config is not None:
                found |= self.all_ahead(name, kind)
        return found

    def behind(self, stage: str, kind: type[AnyConfig]) -> tuple[str, AnyConfig]:
        """The nearest stage of a kind that follows `stage`; with its name.

        Raises:
            ConfigError: there is none, or it follows more than once.
        """
        names = [stage]
        while names:
            found = [(name, self.config.stages[name]) for name in names]
            fitting = [(name, config) for name, config in found if isinstance(config, kind)]
            if len(fitting) == 1:
                self.note(fitting[0][1])
                return fitting[0]
            if fitting:
                break
            names = [n for n, c in self.config.stages.items() if not set(names).isdisjoint(c.after)]
        wanted = kind.model_fields["kind"].default
        where = self.config.where("stages", stage)
        raise ConfigError(f"{where}: there is not one {wanted} behind it; put it there")

    def network(
        self, stage: str, config: NetworkConfig, package: ModelPackage
    ) -> tuple[Callable[[], BoundNetwork], Binding]:
        """What puts the model on the stage's engines, once a worker; and the binding it makes.

        Raises:
            ConfigError: no backend of that name, or it cannot run this model; those that can are
                named.
        """
        names, why = config.engine, ""
        if names == (AUTO,):
            with self.located("stages", stage, "engine"):
                choice = choose(package, self.config.engines)
            names, why = (choice.engine,), choice.why
        candidates = [self._candidate(stage, name, package) for name in names]
        stored = [c.program.precision if isinstance(c.program, Network) else "" for c in candidates]
        return lambda: BoundNetwork(candidates), self._binding(names, stored, package.name, why)

    def kernels(
        self, stage: str, config: KernelConfig, *examples: Kernel
    ) -> tuple[Callable[[Kernel], BoundNetwork], Binding]:
        """What puts kernels on the stage's engines, once a worker; and the binding it makes.

        Args:
            *examples: one of each kind of kernel that the stage needs.

        Raises:
            ConfigError: no backend of that name, or it cannot run kernels; those that can are
                named.
        """
        for name in config.engine:
            engine = self._new(name)
            for example in (kernel for kernel in examples if not engine.can_run(kernel)):
                able = " or ".join(engines.registry.able(example))
                raise ConfigError(
                    f"{self.config.where('stages', stage, 'engine')}: {engine.backend} cannot run "
                    f"{example}; bind it to an engine with backend {able}, or leave engine out"
                )
        breakers = {name: Breaker(self.config.engines[name].retry_s) for name in config.engine}

        def bind(kernel: Kernel) -> BoundNetwork:
            return BoundNetwork(
                [
                    Candidate(name, self._maker(name), kernel, breaker)
                    for name, breaker in breakers.items()
                ]
            )

        stored = ["fp32"] * len(config.engine)
        program = ", ".join(kernel.name for kernel in examples)
        return bind, self._binding(config.engine, stored, program)

    def _binding(
        self, names: Sequence[str], stored: Sequence[str], program: str, why: str = ""
    ) -> Binding:
        """The binding to these engines, which get the program in the precisions `stored`."""
        self.note([self.config.engines[name] for name in names])
        first, *behind = (
            Binding(name, engine.backend, engine.device, engine.precision or precision)
            for name, precision in zip(names, stored, strict=True)
            for engine in (self.config.engines[name],)
        )
        return replace(first, model=program, why=why, behind=tuple(behind))

    def _candidate(self, stage: str, name: str, package: ModelPackage) -> Candidate:
        """One engine of a stage with the model's variant for it."""
        engine = self._new(name)
        with self.located("stages", stage, "engine"):
            try:
                program = package.program_for(engine)
            except ModelError as error:
                able = engines.registry.able(package.program)
                remedy = f"bind it to an engine with backend {' or '.join(able)}"
                raise ModelError(f"{error}; {remedy}") from None
        breaker = Breaker(self.config.engines[name].retry_s)
        return Candidate(name, self._maker(name), program, breaker)

    def _new(self, name: str) -> Engine:
        """An engine of the configuration, not initialised. Raises `ConfigError`."""
        with self.located("engines", name):
            return self._maker(name)()

    def _maker(self, name: str) -> Callable[[], Engine]:
        """Makes that engine of the configuration, not yet initialised."""
        return partial(self._engine, name, self.config.engines[name])

    def labels(self, stage: str) -> tuple[str, ...]:
        """The names of the classes in what a stage gives: of its model, or from before it."""
        labels = self._labels(stage)
        self.note(labels)
        return labels

    def _labels(self, stage: str) -> tuple[str, ...]:
        config = self.config.stages[stage]
        if config.kind == "postprocess":
            package = self._package(stage, "detect", config.model, config.weights)
            return package.manifest.class_names
        if config.kind == "roi_head":
            package = self._package(stage, "roi_head", config.model, config.weights)
            return package.manifest.class_names
        joined = [self._labels(name) for name in config.after if name in self.config.stages]
        return tuple(dict.fromkeys(label for labels in joined for label in labels))

    def rules(self, stage: str) -> Mapping[str, AnyRule] | None:
        """The rules by which what a stage gives was analysed; None where it was not."""
        config = self.config.stages[stage]
        if isinstance(config, AnalyseConfig):
            return config.rules
        found = self.all_ahead(stage, AnalyseConfig)
        return next((config.rules for config in found.values()), None)

    def numbers(
        self, stage: str, wanted: Sequence[str | int] | None, *key: str
    ) -> tuple[int, ...] | None:
        """The numbers of labels that a stage's `key` names, or numbers; None as it is.

        Raises:
            ConfigError: nothing before the stage gives such a label; the nearest one is suggested.
        """
        if wanted is None:
            return None
        labels = self.labels(stage)
        for label in wanted:
            if isinstance(label, str) and label not in labels:
                where, remedy = self.config.where("stages", stage, *key), suggest(label, labels)
                raise ConfigError(f"{where}: no label is called '{label}'; {remedy}")
        return tuple(labels.index(label) if isinstance(label, str) else label for label in wanted)

    def _engine(self, engine_id: str, config: EngineConfig) -> Engine:
        return engines.registry.create(
            engine_id,
            config.backend,
            config.device,
            config.precision or "",
            isolate=config.isolate,
            timeout_s=config.timeout_s,
            **config.options,
        )

    @contextmanager
    def located(self, *path: str | int) -> Iterator[None]:
        """Turns errors of our own into a `ConfigError` that says which key they come from."""
        try:
            yield
        except (SightlineError, EngineError) as error:
            raise ConfigError(f"{self.config.where(*path)}: {error}") from error
