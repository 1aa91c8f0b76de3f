"""The simulated snapshot against closed forms, plain loops and what must hold whatever the numbers are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import lognorm

from pharmakon.collection.revisions import (
    DAY,
    HOUR,
    Attacker,
    Crowd,
    Defence,
    Fate,
    Fates,
    Patrol,
    Site,
    _in_turn,
)
from pharmakon.core import stream
from pharmakon.errors import SpecError

PLAIN = Patrol(capacity=None, follow_up=0.0)
"""Looks at single edits, without limit: the case with a closed form."""
SURE = Attacker(timing_error=0.0)
quick = settings(max_examples=15, deadline=None)


def taken(site: Site, edits: int = 300, replications: int = 60, name: str = "test") -> float:
    return float(site.simulate(edits, replications, stream(0, name)).taken.mean())


def standing(minutes: float, patrol: Patrol) -> float:
    """The log-normal's own survival function."""
    return patrol.never + (1 - patrol.never) * float(
        lognorm.sf(minutes * patrol.speed, patrol.spread, 0, patrol.median)
    )


@quick
@given(
    median=st.floats(0.5, 500), spread=st.floats(0.1, 4), never=st.floats(0, 1), lead=st.floats(0.1, 5_000),
    speed=st.floats(0.1, 10),
)  # fmt: skip
def test_without_timing_error_what_is_taken_is_what_stands_after_the_lead(
    median: float, spread: float, never: float, lead: float, speed: float
) -> None:
    patrol = replace(PLAIN, median=median, spread=spread, never=never, speed=speed)
    site = Site(patrol=patrol, attacker=replace(SURE, lead=lead))
    truth = standing(lead, patrol)
    assert site.expected() == pytest.approx(truth, abs=1e-9)
    assert taken(site) == pytest.approx(truth, abs=4.5 * np.sqrt(0.25 / 18_000))


def test_an_edit_at_the_very_moment_is_taken_and_one_that_patrol_finds_at_once_is_not() -> None:
    assert taken(Site(patrol=PLAIN, attacker=replace(SURE, lead=0.0))) == 1
    at_once = replace(PLAIN, speed=float("inf"))
    assert taken(Site(patrol=at_once, attacker=replace(SURE, lead=1.0))) == pytest.approx(PLAIN.never, abs=0.01)
    assert taken(Site(patrol=replace(at_once, never=0.0), attacker=replace(SURE, lead=1.0))) == 0


@quick
@given(error=st.just(0.0) | st.floats(0.1, 2_000), common=st.floats(0, 1), lead=st.none() | st.floats(0, 2_000))
def test_with_timing_error_the_simulation_comes_to_what_is_expected(
    error: float, common: float, lead: float | None
) -> None:
    """A common error leaves the mean as it is, and makes snapshots differ more."""
    site = Site(patrol=PLAIN, attacker=Attacker(timing_error=error, common_share=common, lead=lead))
    shares = site.simulate(50, 500, stream(1, "test")).taken
    assert shares.mean() == pytest.approx(site.expected(), abs=5 * shares.std() / np.sqrt(500) + 0.003)


@quick
@given(error=st.floats(1, 1_000), more=st.floats(1.1, 10), speed=st.floats(0.1, 5))
def test_worse_predictions_and_faster_patrol_never_help_the_attacker(error: float, more: float, speed: float) -> None:
    site = Site(patrol=replace(PLAIN, speed=speed), attacker=Attacker(timing_error=error))
    worse = replace(site, attacker=Attacker(timing_error=error * more))
    faster = replace(site, patrol=replace(PLAIN, speed=speed * more))
    assert worse.expected() <= site.expected() + 2e-3
    assert faster.expected() <= site.expected() + 2e-3
    given_lead = replace(site.attacker, lead=20.0)
    assert taken(replace(faster, attacker=given_lead)) <= taken(replace(site, attacker=given_lead))


@quick
@given(error=st.floats(0, 500), lead=st.floats(0, 3_000))
def test_no_lead_is_better_than_the_one_the_attacker_chooses(error: float, lead: float) -> None:
    site = Site(patrol=PLAIN, attacker=Attacker(timing_error=error))
    other = replace(site, attacker=replace(site.attacker, lead=lead))
    assert other.expected() <= site.expected() + 2e-3


@pytest.mark.parametrize("delay", [60.0, DAY, 7 * DAY])
def test_a_delay_takes_from_who_knows_it_what_is_reverted_meanwhile_and_all_from_who_does_not(delay: float) -> None:
    site = Site(patrol=PLAIN, attacker=SURE, defence=Defence(delay=delay))
    assert site.lead() == delay
    assert taken(site) == pytest.approx(standing(delay, PLAIN), abs=0.01)
    with_lead = replace(site, attacker=replace(SURE, lead=30.0))
    assert taken(with_lead) == pytest.approx(standing(delay + 30, PLAIN), abs=0.01)
    unknown = replace(site, attacker=Attacker(timing_error=5.0, knows_defence=False))
    fates = unknown.simulate(100, 20, stream(0, "test")).fates
    assert not (fates == Fate.TAKEN).any()
    assert set(np.unique(fates)) == {Fate.DELAYED, Fate.TOO_LATE}


@pytest.mark.parametrize("hours", [6.0, 24.0, 168.0])
def test_of_a_secret_order_the_start_is_all_that_can_be_aimed_at(hours: float) -> None:
    site = Site(patrol=PLAIN, attacker=SURE, defence=Defence(random_hours=hours))
    truth = quad(lambda minutes: standing(minutes, PLAIN), 0, hours * HOUR, limit=500)[0] / (hours * HOUR)
    assert site.lead() == 0
    assert site.expected() == pytest.approx(truth, abs=0.003)
    assert taken(site) == pytest.approx(truth, abs=0.01)
    blind = replace(site, attacker=Attacker(timing_error=20.0, knows_defence=False))
    assert taken(blind) == pytest.approx(blind.expected(), abs=0.01)
    assert blind.expected() < truth


def test_trusted_revisions_have_the_attackers_trusted_accounts_and_what_trusted_editors_build_on() -> None:
    crowd = Crowd(edits_per_month=500.0, unevenness=0.7, trusted=0.4, overlook=0.6)
    attacker = Attacker(timing_error=10.0, lead=300.0, trusted=0.2)
    site = Site(patrol=PLAIN, attacker=attacker, crowd=crowd, defence=Defence(trusted_only=True))
    assert taken(site, 500, 200) == pytest.approx(site.expected(), abs=0.01)
    nobody = replace(site, attacker=replace(attacker, trusted=0.0), crowd=replace(crowd, overlook=0.0))
    assert taken(nobody) == 0
    reasons = nobody.simulate(200, 5, stream(0, "test"))
    assert (reasons.fates == Fate.UNTRUSTED).any()


@quick
@given(num=st.integers(1, 40), more=st.integers(0, 60), seed=st.integers(0, 99))
def test_more_edits_leave_the_first_ones_as_they_were(num: int, more: int, seed: int) -> None:
    site = Site(patrol=PLAIN)
    few, many = (site.simulate(n, 1, stream(seed, "test")) for n in (num, num + more))
    assert np.array_equal(few.fates[0], many.fates[0, :num])
    assert np.array_equal(few.placed[0], many.placed[0, :num])
    assert np.array_equal(few.reverted[0], many.reverted[0, :num])


@quick
@given(seed=st.integers(0, 99), size=st.integers(1, 30), follow_up=st.floats(0, 1))
def test_looking_through_accounts_only_takes_from_the_attacker_and_a_limit_only_gives(
    seed: int, size: int, follow_up: float
) -> None:
    site = Site(patrol=PLAIN, attacker=Attacker(edits_per_account=size))

    def made(patrol: Patrol) -> Fates:
        return replace(site, patrol=patrol).simulate(90, 3, stream(seed, "test"))

    plain, through = made(PLAIN), made(replace(PLAIN, follow_up=follow_up))
    slow = made(replace(PLAIN, follow_up=follow_up, capacity=5.0))
    assert (through.reverted <= plain.reverted).all()
    assert (slow.reverted >= through.reverted - 1e-9).all()
    if size == 1:
        assert np.array_equal(through.fates, plain.fates)


def test_an_account_that_is_looked_through_loses_its_edits_a_little_after_the_first_is_found() -> None:
    patrol = replace(PLAIN, follow_up=1.0, follow_up_delay=7.0, never=0.5)
    site = Site(patrol=patrol, attacker=Attacker(edits_per_account=4))
    alone = replace(site, patrol=replace(patrol, follow_up=0.0)).simulate(8, 50, stream(3, "test"))
    made = site.simulate(8, 50, stream(3, "test"))
    for row in range(50):
        for start in (0, 4):
            first = alone.reverted[row, start : start + 4].min()
            for edit in range(start, start + 4):
                looked_at = max(first + 7.0, made.placed[row, edit])
                assert made.reverted[row, edit] == min(alone.reverted[row, edit], looked_at)


@quick
@given(st.lists(st.floats(0, 300) | st.just(float("inf")), min_size=1, max_size=30), st.floats(1, 200))
def test_a_patrol_with_a_limit_reverts_one_after_the_other(found: list[float], capacity: float) -> None:
    reverted = _in_turn(np.array([found]), capacity)[0]
    free = -np.inf
    for index in sorted(range(len(found)), key=lambda index: found[index]):
        now = max(found[index], free)
        assert reverted[index] == pytest.approx(now)
        free = now + HOUR / capacity


def test_what_is_fresh_is_late_by_the_window_the_delay_or_the_wait_for_a_trusted_edit() -> None:
    crowd = Crowd(cycle_days=30, unevenness=0.8, edits_per_month=4.0)
    site = Site(hours=24, crowd=crowd)

    def late(defence: Defence) -> float:
        return float(replace(site, defence=defence).late(10, stream(0, "late")).mean())

    assert late(Defence()) == pytest.approx(0.5 / 30, abs=0.001)
    assert late(Defence(delay=3 * DAY)) == pytest.approx(3.5 / 30, abs=0.002)
    assert late(Defence(random_hours=72)) == pytest.approx(1.5 / 30, abs=0.002)
    instant = replace(site, hours=1e-6, defence=Defence(trusted_only=True))
    q, variance, mean = crowd.trusted, crowd.unevenness**2, crowd.edits_per_month
    none_trusted = (1 + mean * q * variance) ** (-1 / variance)  # a gamma's Laplace transform
    truth = (1 - q) / q * (1 - none_trusted) / mean
    assert float(instant.late(10, stream(0, "late")).mean()) == pytest.approx(truth, abs=0.003)


def test_the_stream_of_a_snapshot_can_be_looked_at() -> None:
    frame = Site().simulate(50, 2, stream(0, "test")).frame()
    assert frame.height == 50
    assert frame["placed_min"].is_sorted()
    assert set(frame["fate"]) <= {"taken", "too late", "reverted"}
    late = frame.filter(frame["fate"] == "too late")
    assert (late["placed_min"] > late["visited_min"]).all()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Patrol(median=0), "median is a finite number, more than 0; got 0"),
        (lambda: Patrol(never=1.5), "never is a share, in"),
        (lambda: Patrol(capacity=-1), "capacity is a finite number"),
        (lambda: Attacker(timing_error=-1), "timing_error is a finite number, 0 or more; got -1"),
        (lambda: Attacker(lead=float("nan")), "lead is a finite number"),
        (lambda: Attacker(edits_per_account=0), "edits_per_account is 1 or more; got 0"),
        (lambda: Defence(delay=float("inf")), "delay is a finite number"),
        (lambda: Crowd(edits_per_month=0), "edits_per_month is a finite number, more than 0"),
        (lambda: Site(hours=0), "hours is a finite number, more than 0"),
        (lambda: Site().simulate(0, 1, stream(0, "x")), "1 edit and 1 replication, or more; got 0 and 1"),
    ],
)
def test_a_site_that_cannot_be_is_refused(make: object, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        make()  # type: ignore[operator]
