"""Another configuration for all places, or for none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config import PipelineConfig
from pipeline.errors import ReloadError, SightlineError
from pipeline.sharding.books import Books
from pipeline.sharding.place import Place, Spare
from pipeline.sharding.shard import Shard, ShardLostError


@dataclass(frozen=True, slots=True)
class _Asked:
    """A process that is to take a part, and the number under which it answers."""

    place: Place
    config: PipelineConfig
    shard: Shard
    number: int


def change(
    places: Sequence[Place], wanted: Sequence[PipelineConfig | None], spare: Spare, books: Books
) -> None:
    """Gives every place its part; raises the first error once all have answered.

    Nothing is stopped before all else has worked, as that could not be taken back.

    Args:
        places: one that is over and wanted has no process any more.
        wanted: the part of each place; None where it is to have none.
        spare: starts processes at places that are over.
        books: notes them.

    Raises:
        ShardLostError: a process cannot be started.
        ReloadError: one died, or let no frame in.
        SightlineError: why a process refuses its part.
    """
    pairs = list(zip(places, wanted, strict=True))
    asked = [_ask(place, config, spare) for place, config in pairs if config is not None]
    errors: list[SightlineError] = []
    for one in filter(None, asked):
        try:
            _settle(one, books)
        except ShardLostError as error:
            errors.append(ReloadError(f"{one.place}: {error}"))
        except SightlineError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    for place, config in pairs:
        if config is None:
            place.config = None
            if place.shard is not None:
                place.shard.ask("stop")


def _ask(place: Place, config: PipelineConfig, spare: Spare) -> _Asked | None:
    """Asks the process of a place to take a part; None where that needs no answer."""
    if place.over:
        return _Asked(place, config, *spare.launch(config))
    if place.shard is not None:
        return _Asked(place, config, place.shard, place.shard.ask("apply", config))
    place.config = config  # for the process that is about to be started
    return None


def _settle(asked: _Asked, books: Books) -> None:
    """Waits until a place has its part. Raises `SightlineError` where that failed."""
    place, shard = asked.place, asked.shard
    answer = shard.answer(asked.number)
    if shard is place.shard:
        place.config = asked.config
    elif answer:
        place.config = asked.config
        books.enter(place, shard)
    else:  # it was launched for this, and no frame was let in
        last = shard.last_word()
        shard.end()
        failures = last.failures if last else ()
        raise failures[0].error if failures else ReloadError(f"{place}: {shard.lost}")
