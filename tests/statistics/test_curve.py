import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pharmakon.errors import InputError, SpecError
from pharmakon.statistics import Curve, LogLogistic, Observations, Tolerance, fit

DOSES = (0, 8, 16, 32, 64, 128)


def observe(
    rates_SD: list[list[float]], doses: tuple[float, ...] = DOSES, *, num_items: int = 100, unit: str = "documents"
) -> Observations:
    seeds = len(rates_SD)
    hits = np.round(np.ravel(rates_SD) * num_items).astype(int)
    return Observations(
        np.tile(doses, seeds), np.repeat(np.arange(seeds), len(doses)), hits, [num_items] * len(hits), unit
    )


SWITCHING = [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]]
GRADED = [[0.02, 0.05, 0.2, 0.5, 0.8, 0.97], [0, 0.1, 0.3, 0.6, 0.9, 0.97], [0.02, 0.03, 0.1, 0.3, 0.7, 0.95]]


def test_seeds_that_switch_at_different_doses_have_an_ed50() -> None:
    curve = fit(observe(SWITCHING))
    assert (curve.status, curve.family) == ("ok", Tolerance())
    assert curve.ed50 is not None
    assert 16 < curve.ed50.estimate < 32
    assert curve.bracket == (16.0, 32.0)
    assert repr(curve) == f"Curve(ED50 23 documents {curve.threshold_text[3:]}, 6 doses x 5 seeds)"
    assert curve.sentence.startswith("half of the response (0.00 to 1.00) is reached at 23 documents (95% interval ")


def test_graded_responses_take_the_log_logistic() -> None:
    curve = fit(observe(GRADED))
    assert (curve.status, curve.family) == ("ok", LogLogistic())
    assert curve.ed50 is not None
    assert 25 < curve.ed50.estimate < 40
    assert curve.solution is not None
    assert (curve.floor, curve.plateau) == (pytest.approx(0.01, abs=0.02), pytest.approx(1, abs=0.03))


def test_a_response_that_levels_off_below_one_is_halved_from_its_own_plateau() -> None:
    rates = [[0.02, 0.05, 0.2, 0.4, 0.42, 0.4], [0.02, 0.06, 0.22, 0.38, 0.42, 0.4], [0.02, 0.05, 0.25, 0.4, 0.42, 0.4]]
    curve = fit(observe(rates))
    assert curve.status == "ok"
    assert curve.plateau == pytest.approx(0.41, abs=0.03)
    assert curve.ed50 is not None
    assert 8 < curve.ed50.estimate < 32


@pytest.mark.parametrize("family", [Tolerance(), None])
def test_separated(family: Tolerance | None) -> None:
    curve = fit(observe([[0, 0, 0.02, 1, 1, 1]] * 4), family)
    assert (curve.status, curve.bracket, curve.ed50) == ("separated", (16.0, 32.0), None)
    assert curve.threshold_text == "16–32 (separated)"
    assert curve.threshold is not None
    assert (curve.threshold.low, curve.threshold.high) == (16.0, 32.0)
    assert curve.threshold.estimate == pytest.approx(16 * 2**0.5)
    assert repr(curve) == "Curve(separated: 16–32 documents, 6 doses x 4 seeds)"
    assert curve.sentence == (
        "every seed switches between 16 and 32 documents: the ED50 lies there; add doses between, or seeds, "
        "for an interval"
    )


def test_the_log_logistic_calls_a_jump_separated_too() -> None:
    curve = fit(observe([[0, 0, 0, 1, 1, 1]] * 4), LogLogistic())
    assert (curve.status, curve.bracket) == ("separated", (16.0, 32.0))


def test_one_seed_that_switches() -> None:
    curve = fit(observe([[0, 0, 0, 1, 1, 1]]))
    assert curve.status == "separated"
    assert curve.sentence.startswith("the only seed switches between 16 and 32 documents: add seeds")


def test_one_graded_seed_says_what_its_interval_leaves_out() -> None:
    curve = fit(observe(GRADED[:1]))
    assert curve.status == "ok"
    assert curve.sentence.endswith("with one seed the interval holds the items' chance only: add seeds")


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3, 0.9, 1.0])
def test_no_response(rate: float) -> None:
    curve = fit(observe([[rate] * 6] * 3))
    assert (curve.status, curve.ed50, curve.family) == ("no_response", None, None)
    assert curve.threshold_text == "none up to 128"
    assert curve.sentence.startswith("no evidence of a response up to 128 documents (p = 1, 3 seeds); ")


def test_no_response_says_what_could_have_been_seen() -> None:
    sentence = fit(observe([[0.05] * 6] * 3)).sentence
    assert "a rise from 0.05 to 0.14 would have been seen with 80% power" in sentence
    assert "add dose 0" in fit(observe([[0.9] * 5] * 3, DOSES[1:])).sentence
    assert "add seeds" in fit(observe([[1.0] * 6] * 3)).sentence


def test_responds_at_lowest() -> None:
    for rates in ([[0.02, 1, 1, 1, 1, 1]] * 3, [[0.02, 0.8, 0.9, 0.95, 0.99, 1]] * 3):
        curve = fit(observe(rates))
        assert (curve.status, curve.bracket, curve.threshold_text) == ("responds_at_lowest", (0.0, 8.0), "≤ 8")
    assert "add smaller doses" in curve.sentence


def test_beyond_highest_when_the_plateau_was_never_seen() -> None:
    rates = [[0, 0, 0.01, 0.04, 0.1, 0.3], [0, 0.01, 0.02, 0.03, 0.08, 0.33], [0, 0, 0.02, 0.04, 0.09, 0.28]]
    curve = fit(observe(rates))
    assert (curve.status, curve.bracket, curve.threshold_text) == ("beyond_highest", (128.0, np.inf), "> 128")
    assert "the ED50 lies above; add larger doses" in curve.sentence


def test_beyond_highest_when_few_seeds_switch() -> None:
    none, some = [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]
    assert fit(observe([some, some, some, none, none, none, none])).status == "beyond_highest"


def test_not_monotone_needs_evidence() -> None:
    hump = fit(observe([[0, 0, 1, 1, 0, 0]] * 4))
    assert (hump.status, hump.ed50, hump.threshold_text) == ("not_monotone", None, "not monotone")
    assert "rises to 1.00 at 16 documents and falls to 0.00 at" in hump.sentence
    one_freak = [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1]]
    assert fit(observe(one_freak)).status != "not_monotone"
    falling = fit(observe([[0.9, 0.9, 0.5, 0.1, 0.1, 0.1]] * 4))
    assert falling.status == "no_response"
    assert "it falls, to 0.10" in falling.sentence


def test_a_wavering_seed_gets_a_bracket_that_holds_all_its_crossings() -> None:
    from pharmakon.statistics.solution import Levels
    from pharmakon.statistics.tolerance import brackets

    rates = [[0, 0, 1, 0, 1, 1], [0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]]
    expected = [[8, 64], [0, 8], [128, np.inf], [32, 64]]
    assert brackets(observe(rates), Levels(0, 1)).tolist() == expected


def test_tolerance_estimate_agrees_with_scipy_on_interval_censored_data() -> None:
    from pharmakon.statistics.tolerance import Likelihood

    edges = np.array([[0, 8], [8, 16], [16, 32], [16, 32], [16, 32], [32, 64], [64, np.inf]])
    likelihood = Likelihood.of(edges, np.array([8.0, 16, 32, 64]))
    with np.errstate(divide="ignore"):
        mu, sigma = stats.norm.fit(stats.CensoredData.interval_censored(np.log(edges[:, 0]), np.log(edges[:, 1])))
    best = float(likelihood.at(np.array([mu]), np.array([sigma]))[0])
    assert best >= likelihood.profile(mu) - 1e-9
    assert best == pytest.approx(likelihood.profile(mu), abs=0.01)
    assert max(likelihood.profile(mu + step) for step in (-0.1, 0.1)) < best


def test_interval_of_finely_bracketed_tolerances_is_students() -> None:
    """The small-sample correction: with doses so close that each tolerance is known, the textbook t interval."""
    doses = np.geomspace(8, 128, 120)
    logs = np.log([20, 26, 31, 45, 28, 37])
    rates = (doses[None, :] >= np.exp(logs)[:, None]).astype(float)
    curve = fit(observe(np.c_[np.zeros(6), rates].tolist(), (0, *doses.tolist()), num_items=10), Tolerance())
    assert curve.ed50 is not None
    half = stats.t.isf(0.025, 5) * logs.std(ddof=1) / np.sqrt(6)
    limits = np.log([curve.ed50.low, curve.ed50.high])
    assert limits == pytest.approx([logs.mean() - half, logs.mean() + half], abs=0.02)


def test_one_dose_and_a_control() -> None:
    curve = fit(observe([[0, 1]] * 3, (0, 64)))
    assert (curve.status, curve.bracket) == ("responds_at_lowest", (0.0, 64.0))
    assert "at the only dose, 64 documents" in curve.sentence
    assert fit(observe([[0, 0.3]] * 3, (0, 64))).status == "beyond_highest"


def test_html_is_escaped_and_unit_is_used() -> None:
    curve = fit(observe(SWITCHING, unit="<b>fraction</b>"))
    assert "<b>" not in curve._repr_html_()
    assert "&lt;b&gt;fraction" in curve._repr_html_()
    assert "ED50 23 <b>fraction</b> [" in repr(curve)


def test_errors() -> None:
    with pytest.raises(InputError, match="two doses or more; got 1"):
        fit(observe([[0.1]], (8,)))
    with pytest.raises(SpecError, match="Tolerance"):
        fit(observe(GRADED), "probit")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="dose 8, seed 1 comes twice"):
        Observations([8, 8], [1, 1], [0, 1], [4, 4])
    with pytest.raises(InputError, match="got -8 in row 1"):
        Observations([8, -8], [1, 1], [0, 1], [4, 4])
    with pytest.raises(InputError, match="columns of one length"):
        Observations([8], [1, 2], [0, 1], [4, 4])
    with pytest.raises(InputError, match="a seed is a whole number"):
        Observations([8], [0.5], [0], [4])
    with pytest.raises(InputError, match="0 or more"):
        fit(observe(GRADED)).predict([-1])


@st.composite
def any_observations(draw: st.DrawFn) -> Observations:
    """Counts without any pattern, seeds that switch, graded rises: with gaps, with or without a control."""
    doses = sorted(draw(st.sets(st.sampled_from([0, 1, 2, 5, 8, 30, 32, 100, 1000]), min_size=2, max_size=6)))
    seeds, items = draw(st.integers(1, 5)), draw(st.integers(1, 60))
    kind = draw(st.sampled_from(["any", "switch", "graded"]))
    rows = []
    for seed in range(seeds):
        start = draw(st.integers(0, len(doses)))
        for index, dose in enumerate(doses):
            if kind == "any":
                rate = draw(st.floats(0, 1))
            elif kind == "switch":
                rate = float(index >= start)
            else:
                rate = min(1.0, max(0.0, 0.2 * (index - start) + 0.1))
            if len(doses) == 2 or draw(st.integers(0, 9)) > 0:
                rows.append((dose, seed, round(rate * items), items))
    if len({row[0] for row in rows}) < 2:
        rows = [(dose, 0, 0, items) for dose in doses]
    return Observations(*(np.array(column) for column in zip(*rows, strict=True)))


@settings(deadline=None, max_examples=100)
@given(any_observations(), st.sampled_from([None, Tolerance(), LogLogistic()]))
def test_any_counts_get_an_answer(data: Observations, family: Tolerance | LogLogistic | None) -> None:
    curve = fit(data, family)
    positive = data.table.doses[data.table.doses > 0]
    if curve.status == "ok":
        assert curve.ed50 is not None
        assert curve.bracket is not None
        assert positive[0] <= curve.bracket[0] <= curve.ed50.estimate <= curve.bracket[1] <= positive[-1]
    else:
        assert curve.ed50 is None
        assert "ED50 " not in repr(curve)
    if curve.status == "separated":
        assert curve.bracket is not None
        assert positive[0] <= curve.bracket[0] < curve.bracket[1] <= positive[-1]

    asked = np.concatenate([[0], np.geomspace(0.5, 3000, 40)])
    low, mid, high = curve.predict(asked)
    assert np.all((low >= -1e-9) & (low <= mid + 1e-9) & (mid <= high + 1e-9) & (high <= 1 + 1e-9))
    if curve.status != "not_monotone":
        assert all(np.all(np.diff(part) >= -1e-9) for part in (low, mid, high))

    order = np.random.default_rng(0).permutation(len(data))
    again = fit(
        Observations(*(column[order] for column in (data.dose, data.seed, data.successes, data.trials))), family
    )
    assert same(curve, again)


def same(one: Curve, other: Curve) -> bool:
    return (one.status, one.sentence, one.ed50, one.effect) == (other.status, other.sentence, other.ed50, other.effect)
