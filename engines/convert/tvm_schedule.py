"""Loops for TVM on a CPU, without tuning: small tiles that stay in registers.

TVM lowers an operator to plain nested loops, and leaves them so where nobody schedules them: one
multiplication at a time. Tuning finds good loops in hours. The fixed schedule here takes no time
and is within about three times of ONNX Runtime on the project's networks, where plain loops are
thirty times slower. It wants the channels last (NHWC): then neighbouring numbers of the innermost
axis are neighbours in memory, and a convolution of any stride or width runs in whole vectors.
"""

from __future__ import annotations

from typing import Any

#: Lengths of a vector, best first: AVX-512, AVX, SSE, in float32.
LANES = (16, 8, 4)
#: Sums that are kept at once: those that fit into the 32 vector registers, some left for operands.
VECTORS = 24
#: More columns than these gain nothing, and the code of the unrolled loops grows.
COLUMNS = 8
#: An axis that no vector divides is taken in one piece up to this length.
LONGEST_PIECE = 64


def apply_schedules(module: Any) -> Any:
    """The module with the loops of each function scheduled, where they are of a known kind."""
    from tvm.s_tir import dlight

    rule = dlight.ScheduleRule.from_callable("tiles")
    return dlight.ApplyDefaultSchedule(rule(_scheduled))(module)


def _scheduled(function: Any, _target: Any, _tunable: bool) -> Any:
    """A schedule of the function; None leaves its loops as they are."""
    from tvm.s_tir import Schedule
    from tvm.s_tir.dlight.analysis import normalize_prim_func
    from tvm.s_tir.schedule import ScheduleError

    schedule = Schedule(function)
    blocks = normalize_prim_func(schedule)
    if not blocks:
        return None
    sums = [i for i, block in enumerate(blocks) if not block.is_injective()]
    try:
        if not sums:
            return _elementwise(schedule, blocks)
        if len(sums) == 1 and blocks[sums[0]].is_reduction():
            return _reduction(schedule, blocks, sums[0])
    except ScheduleError:  # a shape of loops that these few steps do not fit
        return None
    return None


def _elementwise(schedule: Any, blocks: list[Any]) -> Any:
    for block in blocks[:-1]:
        schedule.compute_inline(block.block_rv)
    _spread(schedule, blocks[-1].block_rv)
    return schedule


def _reduction(schedule: Any, blocks: list[Any], index: int) -> Any:
    """Convolutions, matrix products, pools: a tile of columns × channels, summed in registers.

    What comes before the sum (padding) gets loops of its own; what comes after (bias, activation)
    is done on the tile as soon as its sums are complete.
    """
    total = blocks[index].block_rv
    for block in blocks[index + 1 : -1]:
        schedule.compute_inline(block.block_rv)
    last = blocks[-1].block_rv if index + 1 < len(blocks) else None
    after = last or schedule.cache_write(total, 0, "global")
    loops = schedule.get_loops(after)
    kinds = blocks[index].dom_kind()
    length = _length(schedule, loops[-1])
    if len(loops) < 2 or kinds.count("S") != len(loops) or length is None:
        return None
    for block in blocks[:index]:
        _spread(schedule, block.block_rv)

    lanes = _lanes(length)
    pieces = _divisor(length // lanes, 4 if lanes in LANES else 1)
    registers = pieces * -(-lanes // LANES[0])
    columns = _divisor(_length(schedule, loops[-2]) or 1, min(COLUMNS, VECTORS // registers))
    outer, column = schedule.split(loops[-2], [None, columns])
    tiles, piece, lane = schedule.split(loops[-1], [None, pieces, lanes])
    schedule.reorder(*loops[:-2], outer, tiles, column, piece, lane)
    schedule.parallel(schedule.fuse(*loops[:-2]) if len(loops) > 2 else outer)

    schedule.compute_at(total, tiles, preserve_unit_loops=True)
    inner = schedule.get_loops(total)
    steps = inner[-kinds.count("R") :]
    own_column, own_channel = inner[-len(steps) - 2 : -len(steps)]
    own_piece, own_lane = schedule.split(own_channel, [pieces, lanes])
    schedule.reorder(*steps, own_column, own_piece, own_lane)
    _unrolled(schedule, column, piece, lane)
    _unrolled(schedule, own_column, own_piece, own_lane)
    zeros = schedule.decompose_reduction(total, steps[0])
    _unrolled(schedule, *schedule.get_loops(zeros)[-3:])
    return schedule


def _unrolled(schedule: Any, column: Any, piece: Any, lane: Any) -> None:
    schedule.unroll(column)
    schedule.unroll(piece)
    schedule.vectorize(lane)


def _spread(schedule: Any, block: Any) -> None:
    """Outer loops over the threads, the innermost in vectors."""
    loops = schedule.get_loops(block)
    length = _length(schedule, loops[-1]) if len(loops) > 1 else None
    if length is None:
        return
    _, lane = schedule.split(loops[-1], [None, _lanes(length)])
    schedule.vectorize(lane)
    schedule.parallel(schedule.fuse(*loops[:-1]) if len(loops) > 2 else loops[0])


def _lanes(length: int) -> int:
    return next((n for n in LANES if length % n == 0), _divisor(length, LONGEST_PIECE))


def _length(schedule: Any, loop: Any) -> int | None:
    """Of a loop; None where it is known at run time only."""
    extent = schedule.get(loop).extent
    try:
        return int(extent)
    except TypeError:
        return None


def _divisor(number: int, limit: int) -> int:
    """The largest divisor of a number that is not above the limit."""
    return max(n for n in range(1, max(1, min(number, limit)) + 1) if number % n == 0)
