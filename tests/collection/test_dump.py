"""Real dumps: what is read of them, which reverts are found, what is told of exposure, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import lognorm
from wiki import HEAD, HIDDEN, PACKED, START, Rev, Shape, dump, page, write

from pharmakon.collection.dump import Dump, Edited, History, as_date, base_36, histories
from pharmakon.collection.exposure import HORIZON, Survival, exposure
from pharmakon.collection.reverts import follow, reverts, shown_and_reverted
from pharmakon.errors import InputError

quick = settings(max_examples=100, deadline=None)
VANDALISED = [Rev(0, "good"), Rev(10, "BAD", "192.0.2.7"), Rev(14, "good", "Patrol"), Rev(60, "better", "Ben")]


def read(folder: Path, text: str, suffix: str = "xml") -> list[History]:
    return list(histories(write(folder, text, suffix)))


def history(*revisions: tuple[float, str | None, str | None], title: str = "P") -> History:
    made = tuple(Edited(START + round(60 * minute), by, digest) for minute, digest, by in revisions)
    return History(title, 0, made)


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("shape", ["0.11", "no sha1", "stub", "0.3"])
def test_a_dump_is_read_in_each_schema_and_compression(tmp_path: Path, suffix: str, shape: Shape) -> None:
    """The digest is MediaWiki's, whether the dump gives it or the text."""
    (only,) = read(tmp_path, dump(page("A & B", VANDALISED, shape=shape)), suffix)
    assert (only.title, only.namespace) == ("A & B", 0)
    assert [(rev.time - START) / 60 for rev in only.revisions] == [0, 10, 14, 60]
    assert [rev.user for rev in only.revisions] == ["#37", "192.0.2.7", "#67", "#37"]
    digests = [rev.digest for rev in only.revisions]
    sha1 = int(hashlib.sha1(b"good").hexdigest(), 16)
    assert digests[0] == digests[2] == np.base_repr(sha1, 36).lower().zfill(31)
    assert len(set(digests)) == 3
    assert follow(only, as_date("2023-01-02")).reverted.tolist() == [True, False]


def test_the_digest_is_that_of_mediawiki() -> None:
    """The digest of no text is well known from Wikipedia's dumps."""
    assert base_36(bytes.fromhex("da39a3ee5e6b4b0d3255bfef95601890afd80709")) == "phoiac9h4m842xq45sp7s6u21eteeq1"


def test_hidden_texts_and_contributors_several_namespaces_and_redirects(tmp_path: Path) -> None:
    hidden = [Rev(0, "good"), Rev(5, HIDDEN, HIDDEN), Rev(6, HIDDEN, HIDDEN), Rev(9, "good", "Patrol")]
    pages = (
        page("One", hidden, number=1, shape="0.11"),
        page("Talk:One", VANDALISED, ns=1, number=2),
        page("Two", [Rev(0, "")], number=3),
        page("User:Ann/x:y", VANDALISED, number=4, shape="0.3"),
    )
    text = dump(*pages).replace("<ns>0</ns><id>3</id>", '<ns>0</ns><id>3</id><redirect title="One" />')
    one, talk, two, old = read(tmp_path, text)
    assert [rev.digest is None for rev in one.revisions] == [False, True, True, False]
    assert [rev.user for rev in one.revisions][1:3] == [None, None]
    assert follow(one, one.revisions[-1].time).reverted.tolist() == [True, True], "a hidden text equals no other"
    assert [page.namespace for page in (one, talk, two, old)] == [0, 1, 0, 2]
    assert two.revisions[0].digest == "phoiac9h4m842xq45sp7s6u21eteeq1"
    both = exposure([one, talk, two, old], as_date("2023-01-02"), namespaces=(0, 1))
    assert (both.titles[0], both.titles[2], both.namespaces) == ("One", "Two", (0, 1, 0))
    assert len(exposure([one, talk], as_date("2023-01-02"), namespaces=(1,)).titles) == 1


def test_imported_revisions_are_put_in_the_order_of_time(tmp_path: Path) -> None:
    (only,) = read(tmp_path, dump(page("A", [VANDALISED[0], VANDALISED[3], VANDALISED[1], VANDALISED[2]])))
    times = [rev.time for rev in only.revisions]
    assert times == sorted(times)


def test_a_dump_is_read_as_a_stream(tmp_path: Path) -> None:
    """Neither texts nor pages stay: 400 pages of 20 kB of text each need less memory than 40 of them."""
    big = [Rev(minute, f"{minute} {'word ' * 4_000}") for minute in range(4)]
    path = write(tmp_path, dump(*(page(f"Page {n}", big, number=n + 1) for n in range(100))), "xml.gz")
    next(histories(path))
    tracemalloc.start()
    stream = histories(path)
    assert sum(len(one.revisions) for one in stream) == 400
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_500_000


def test_a_bzip2_of_several_streams_is_one_dump(tmp_path: Path) -> None:
    text = dump(page("A", VANDALISED), page("B", VANDALISED, number=2)).encode()
    path = tmp_path / "multistream.xml.bz2"
    path.write_bytes(bz2.compress(text[:900]) + bz2.compress(text[900:]))
    assert [one.title for one in histories(path)] == ["A", "B"]


def by_definition(digests: Sequence[str | None], radius: int) -> tuple[list[int | None], list[bool]]:
    """Every pair of equal revisions with at most `radius` between, none of those equal to them."""
    by: list[int | None] = [None] * len(digests)
    new = [index > 0 for index in range(len(digests))]
    for j in range(len(digests)):
        for k in range(max(0, j - radius - 1), j):
            if digests[j] is not None and digests[j] == digests[k] and digests[j] not in digests[k + 1 : j]:
                new[j] = False
                for between in range(k + 1, j):
                    by[between] = j if by[between] is None else by[between]
    return by, new


@quick
@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=14), st.integers(1, 15))
def test_reverts_are_those_of_the_definition(digests: list[str | None], radius: int) -> None:
    known = reverts([Edited(index, None, digest) for index, digest in enumerate(digests)], radius)
    assert (known.by, known.is_new) == by_definition(digests, radius)


def test_edits_are_followed_until_they_are_reverted_or_no_longer_seen() -> None:
    """Reverted by another; taken back by the author; still standing; and the revert of a revert."""
    one = history(
        (0, "a", "#1"), (10, "x", "#2"), (12, "y", "#3"), (15, "a", "#4"),
        (20, "z", "#5"), (26, "a", "#5"), (30, "b", "#6"),
    )  # fmt: skip
    known = follow(one, START + 60 * 100)
    assert ((known.made - START) / 60).tolist() == [10, 12, 20, 30]
    assert known.minutes.tolist() == [5, 3, 6, 70]
    assert known.reverted.tolist() == [True, True, False, False]
    earlier = follow(one, START + 60 * 13)
    assert earlier.minutes.tolist() == [3, 1], "what is done later is not known"
    assert not earlier.reverted.any()
    many = history((0, "a", "#1"), *((minute, f"t{minute}", "#2") for minute in range(1, 9)))
    assert follow(many, START + 60 * 100, radius=3).minutes.tolist() == [3, 3, 3, 3, 3, 94, 93, 92]


@quick
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["#1", "#2", None])), min_size=2, max_size=12),
    st.integers(0, 12),
)
def test_nothing_that_came_after_the_date_counts(made: list[tuple[str, str | None]], last: int) -> None:
    """What later revisions end, they end no earlier than the date."""
    whole = history(*((10 * n, digest, by) for n, (digest, by) in enumerate(made)))
    until = START + 600 * last + 60
    cut = History(whole.title, 0, tuple(rev for rev in whole.revisions if rev.time <= until))
    for one, other in zip(vars_of(follow(whole, until)), vars_of(follow(cut, until)), strict=True):
        assert np.array_equal(one, other)


def vars_of(known: object) -> list[np.ndarray]:
    return [getattr(known, name) for name in ("made", "minutes", "reverted")]


def test_what_a_page_showed_at_a_date() -> None:
    one = history((0, "a", "#1"), (10, "x", "#2"), (15, "a", "#3"), (20, "y", "#4"), (22, "a", "#4"))
    shown = {minute: shown_and_reverted(one, START + 60 * minute) for minute in (-1, 5, 10, 14, 15, 21, 99)}
    assert shown == {-1: False, 5: False, 10: True, 14: True, 15: False, 21: False, 99: False}


def test_survival_is_that_of_kaplan_and_meier_by_hand() -> None:
    """Five edits: reverted after 1 and 4 minutes, last seen standing after 2, 6 and 50,000."""
    found = Survival.of(np.array([1.0, 2, 4, 6, 50_000]), np.array([True, False, True, False, False]))
    assert float(found.at(0.5)) == 1
    assert float(found.at(1)) == pytest.approx(4 / 5)
    assert float(found.at(5)) == pytest.approx(4 / 5 * 2 / 3)
    assert float(found.of_reverted(0.5)) == 1
    assert float(found.of_reverted(2)) == pytest.approx((4 / 5 - 8 / 15) / (7 / 15))
    assert float(found.of_reverted(4)) == 0
    assert found.halving(0.0) == 4


def scales(num_pages: int, seed: int, spread_of_pages: float) -> np.ndarray:
    """Median minutes until a revert, page by page."""
    return 20 * np.exp(spread_of_pages * np.random.default_rng([seed, 1]).normal(size=num_pages))


def simulated(num_pages: int, seed: int = 0, spread_of_pages: float = 0.0, days: float = 60.0) -> list[History]:
    """Pages with good edits, and bad ones (0.4 of all) that are reverted after a log-normal time, median 20 minutes."""
    rng = np.random.default_rng(seed)
    made = []
    for number, scale in enumerate(scales(num_pages, seed, spread_of_pages)):
        revisions: list[tuple[float, str | None, str | None]] = [(0.0, "0", "#1")]
        now, good = 0.0, "0"
        while (now := now + rng.exponential(2_000)) < days * 1_440:
            if rng.random() < 0.4:
                revisions.append((now, f"bad {now}", "#2"))
                now += scale * np.exp(1.5 * rng.normal())
                revisions.append((now, good, "#3"))
            else:
                good = f"good {now}"
                revisions.append((now, good, f"#{rng.integers(10, 20)}"))
        made.append(history(*revisions, title=f"Page {number:03}"))
    return made


def test_exposure_is_the_truth_of_a_simulated_site() -> None:
    """Also right before the date, where the newest edits have hardly been followed."""
    found = exposure(simulated(200), START + 50 * 86_400)
    draws = found.drawn(np.random.default_rng(0), 100)
    within = 0
    for minutes in (5, 20, 60, 240):
        truth = float(lognorm.sf(minutes, 1.5, 0, 20))
        low, high = np.quantile([float(one.of_reverted(minutes)) for one in draws], [0.01, 0.99])
        within += low - 0.01 <= truth <= high + 0.01
    assert within == 4
    assert float(found.survival.at(HORIZON)) == pytest.approx(0.6, abs=0.03)
    fresh, recent = found.fresh(10 * 1_440)
    assert fresh / recent == pytest.approx(1 / 3, abs=0.04)


def test_pages_are_drawn_to_the_site_as_far_as_their_reverts_are_few() -> None:
    """Alike pages are drawn together; of pages that differ, the order is found and the intervals hold the truth."""
    alike = exposure(simulated(60), START + 60 * 86_400).pages(20.0)
    differing = simulated(60, spread_of_pages=1.5)
    found = exposure(differing, START + 60 * 86_400).pages(20.0)
    spread = [page.exposure.estimate for page in found]
    assert spread == sorted(spread, reverse=True)
    assert np.std(spread) > 3 * np.std([page.exposure.estimate for page in alike])
    truths = {f"Page {n:03}": float(lognorm.sf(20.0, 1.5, 0, scale)) for n, scale in enumerate(scales(60, 0, 1.5))}
    held = [truths[page.title] in page.exposure for page in found]
    assert np.mean(held) > 0.85
    order = np.corrcoef([truths[page.title] for page in found], spread)[0, 1]
    assert order > 0.7


def test_what_a_page_without_reverts_is_said_to_be_is_the_site() -> None:
    pages = [*simulated(30), history((0, "a", "#1"), (100, "b", "#2"), title="Quiet")]
    found = {page.title: page for page in exposure(pages, START + 60 * 86_400).pages(20.0)}
    site = float(exposure(pages, START + 60 * 86_400).survival.of_reverted(20.0))
    assert found["Quiet"].exposure.estimate == pytest.approx(site, abs=0.001)
    assert (found["Quiet"].num_edits, found["Quiet"].num_reverted) == (1, 0)


def test_the_end_of_the_dump_is_where_following_ends_if_the_date_is_later() -> None:
    found = exposure([history((0, "a", "#1"), (10, "x", "#2"), (11, "a", "#3"), (20, "b", "#4"), (60, "c", "#5"))],
                     START + 365 * 86_400)  # fmt: skip
    assert found.minutes.tolist() == [1, 40, 0]
    assert found.days_after == pytest.approx(-365, abs=0.1)


BROKEN = {
    "empty.xml": (b"", "is empty"),
    "note.xml": (b"no dump at all", "does not begin with <"),
    "page.html": (b"<html><body/></html>", "its root is <html>, not <mediawiki>"),
    "other.xml": (b"<mediawiki><page/></mediawiki>", "not the export schema"),
    "nothing.xml": (f"{HEAD}</mediawiki>".encode(), "has no page"),
    "half.xml": (dump(page("A", VANDALISED), page("B", VANDALISED)).encode()[:-400], "line 2.*the file ends before"),
    "odd.xml": (
        dump(page("A", VANDALISED)).replace("</page>", "</pge>").encode(),
        "line 20, at or after page 'A': .*mismatched tag",
    ),
    "time.xml": (
        dump(page("A", VANDALISED)).replace("2023-01-01T", "yesterday").encode(),
        "not the export schema",
    ),
    "id.xml": (
        dump(page("A", VANDALISED)).replace("<id>100</id>", "<id>x</id>").encode(),
        "not the export schema",
    ),
    "half.xml.gz": (
        gzip.compress(dump(page("A", VANDALISED)).encode())[:-60],
        r"end too early, at byte \d+ of the file",
    ),
    "half.xml.bz2": (bz2.compress(dump(page("A", VANDALISED)).encode())[:-60], "end too early, at byte"),
    "damaged.xml.bz2": (b"BZh91AY&SY" + bytes(200), "damaged before byte"),
    "damaged.xml.gz": (gzip.compress(b"<a/>" * 999)[:10] + b"\xff" * 50, "damaged before byte"),
    "dump.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(30), "compressed by 7-Zip; .xml, .xml.gz and .xml.bz2 are read"),
    "binary.xml": (b"\xef\xbb\xbf\x00\x01", "does not begin with <"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_dump_is_refused_with_its_name_and_place(tmp_path: Path, name: str) -> None:
    content, sentence = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        list(histories(tmp_path / name))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_entity_of_a_dump_grows_without_end(tmp_path: Path) -> None:
    doubled = "".join(f'<!ENTITY e{n} "&e{n - 1};&e{n - 1};">' for n in range(1, 40))
    text = f'<!DOCTYPE m [<!ENTITY e0 "lol">{doubled}]><mediawiki>&e39;</mediawiki>'
    with pytest.raises(InputError, match="not a whole MediaWiki dump"):
        read(tmp_path, text)


def test_a_dump_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        Dump.of(tmp_path)
    with pytest.raises(InputError, match="is not there"):
        Dump.of(tmp_path / "lost.xml")
    path = write(tmp_path, dump(page("A", VANDALISED)))
    assert Dump.of(path) == Dump.of(path)


def test_dates_and_dumps_that_tell_nothing_are_refused() -> None:
    one = history((0, "a", "#1"), (10, "x", "#2"), (15, "a", "#3"))
    with pytest.raises(InputError, match="2022-01-01 00:00 is before the first revision in the dump, 2023-01-01 00:00"):
        exposure([one], as_date("2022-01-01"))
    with pytest.raises(InputError, match="no revision in namespace 4, 6; it has 0"):
        exposure([one], as_date("2023-02-01"), namespaces=(4, 6))
    with pytest.raises(InputError, match="no edit was reverted within 30 days before 2023-01-01 00:12"):
        exposure([one], START + 60 * 12)
    with pytest.raises(InputError, match=r"in the 2 days before .* \(0 edits\)"):
        exposure([one], as_date("2023-01-20"), days=2)
    with pytest.raises(InputError, match="a date is written 2023-02-20"):
        as_date("next week")
    assert as_date("2023-01-01") == as_date("2023-01-01T01:00+01:00") == START
