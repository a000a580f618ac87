from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger import Account, Ledger


def test_a_frame_is_emitted_or_dropped_with_stage_and_reason() -> None:
    ledger = Ledger()
    ledger.emit(ledger.enter("gate"))
    ledger.drop(ledger.enter("gate"), "detect", "queue_full")
    ledger.drop(ledger.enter("yard"), "decode", "sampled")
    assert ledger.accounts() == {
        "gate": Account(2, 1, {("detect", "queue_full"): 1}, {}),
        "yard": Account(1, 0, {("decode", "sampled"): 1}, {}),
    }
    assert ledger.balanced


def test_a_frame_whose_end_nobody_reported_unbalances_the_ledger() -> None:
    ledger = Ledger()
    ledger.enter("gate")
    assert not ledger.balanced
    assert ledger.accounts()["gate"].missing == 1


def test_a_forked_frame_counts_once() -> None:
    ledger = Ledger()
    ticket = ledger.enter("gate")
    ledger.fork(ticket, 3)
    ledger.emit(ticket)
    ledger.drop(ticket, "udp", "shutdown")
    assert not ledger.balanced
    ledger.emit(ticket)
    assert ledger.accounts()["gate"] == Account(1, 1, {}, {("udp", "shutdown"): 1})


def test_a_frame_dropped_on_every_branch_is_dropped_for_the_first_reason() -> None:
    ledger = Ledger()
    ticket = ledger.enter("gate")
    ledger.fork(ticket, 2)
    ledger.drop(ticket, "left", "bad")
    ledger.drop(ticket, "right", "worse")
    account = ledger.accounts()["gate"]
    assert account.dropped == {("left", "bad"): 1}
    assert account.partial == {("right", "worse"): 1}
    assert account.balanced


def test_branches_that_meet_go_on_as_one() -> None:
    ledger = Ledger()
    ticket = ledger.enter("gate")
    ledger.fork(ticket, 2)
    ledger.join(ticket, 2)
    ledger.emit(ticket)
    assert ledger.balanced


@given(st.lists(st.lists(st.sampled_from(["emit", "drop"]), min_size=1, max_size=4)))
def test_entered_is_emitted_plus_dropped(frames: list[list[str]]) -> None:
    ledger = Ledger()
    for fates in frames:
        ticket = ledger.enter("cam")
        ledger.fork(ticket, len(fates))
        for fate in fates:
            if fate == "emit":
                ledger.emit(ticket)
            else:
                ledger.drop(ticket, "stage", "reason")
    assert ledger.balanced
    if frames:
        account = ledger.accounts()["cam"]
        assert account.emitted == sum("emit" in fates for fates in frames)
