# SPDX-License-Identifier: ISC
"""scripts/bench: its rows of latency and scale, which need no other tool; and what is made
of the figures. Never how fast anything is."""
import json
import os
import pathlib
import subprocess
import sys
import types
import xml.etree.ElementTree as ElementTree

import pytest

from harness import RATION, RATIOND, built, clean_env

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench import (histogram, machine, quiet, report, rows_latency, scale,  # noqa: E402
                   scale_picture, svg, tables)
from bench.main import Bench  # noqa: E402
from bench.servers import Void  # noqa: E402

STORES = ("memory", "redis")


def run_bench(tmp_path, rows, *words):
    """What it found, as JSON, and what it printed. Exit 1 is a bound that it missed."""
    path = tmp_path / "found.json"
    done = subprocess.run(
        [ROOT / "scripts/bench", "--rationd", built(RATIOND), "--ration", built(RATION),
         "--quick", "--rounds", "1", "--rows", rows, "--json", path, *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=clean_env(),
        timeout=300)
    assert done.returncode in (0, 1), (done.stdout, done.stderr)
    return json.loads(path.read_text()), done.stdout


def test_latency_is_of_half_the_rate_of_both(tmp_path):
    found, out = run_bench(tmp_path, "latency")
    row, = found["rows"]
    pair, = found["pairs"]["latency"]
    assert row["bound"] == "<= 3" and row["measure"] in out
    assert row["ratio"] == pytest.approx(pair["check"]["p99_us"] / pair["PING"]["p99_us"],
                                         abs=0.001)
    for name, side in pair.items():
        means = found["means"]["latency"][name]
        assert side["p50_us"] <= side["p99_us"] <= side["p999_us"]
        assert means["all_p99_us"] == side["p99_us"]  # of one round
        assert means["p99_us"] == pytest.approx(side["p99_us"])
        assert 0 <= side["stolen"] <= 1 and side["others"] >= 0
        assert "histogram_us" not in side
    account = found["quiet"]["latency"]
    assert account["measured"] == 2  # the highest rate, and the pair; --quick tries once
    assert row["disturbed"] == (account["disturbed"] > 0)
    assert "p99.9" in out and "cores meanwhile" in out and "the hypervisor" in out


def test_scale(tmp_path):
    picture = tmp_path / "scale.svg"
    found, out = run_bench(tmp_path, "scale", "--scale-svg", picture)
    scales = found["scale"]["scales"]
    assert set(scales) == set(scale.SCALES)
    for name, stores in scales.items():
        assert set(stores) == set(STORES) and scale.SCALES[name].title.lower() in out
        for point in (p for points in stores.values() for p in points):
            assert point["checks_per_second"] > 0 and point["p50_us"] <= point["p99_us"]
    for store in STORES:  # a sanitizer's memory is not what is measured, but there is some
        assert scales["grants"][store][0]["bytes_each"] > 40
    assert len(ElementTree.parse(picture).getroot().findall(".//{*}polyline")) > 0


# --- which measurements count ---------------------------------------------------------


def pair_of(stolen=0, others=0, p99=1):
    return {"check": {"stolen": stolen, "others": others, "p99_us": p99},
            "PING": {"stolen": 0, "others": 0, "p99_us": 1}}


@pytest.mark.parametrize(("pair", "reasons"), [
    (pair_of(0.01, 0.1), []),
    (pair_of(p99=1e9), []),  # slow is no reason
    (pair_of(0.011), ["time stolen"]),
    (pair_of(0, 0.11), ["other processes"]),
    (pair_of(0.5, 2), ["time stolen", "other processes"]),
])
def test_a_pair_is_disturbed_if_a_side_is(pair, reasons):
    assert quiet.reasons_of(pair) == reasons
    assert quiet.reasons_of({side: pair[side] for side in ("PING", "check")}) == reasons


class MadeUp:
    """Stands for a Bench; its pairs come from a list."""

    def __init__(self, pairs, is_quick=False):
        self.args = types.SimpleNamespace(quick=is_quick)
        self.choices = {}
        self.left = list(pairs)
        self.rounds = []

    def note(self, text):
        pass

    def choose(self, wanted):
        def measure(i):
            self.rounds.append(i)
            pair = self.left.pop(0)
            if pair is None:
                raise Void("nothing was answered")
            return pair
        return Bench.choose(self, "row", "row", measure, wanted)

    def account(self):
        return quiet.account_of(self.choices["row"])


GOOD, STOLEN, BUSY = pair_of(p99=2), pair_of(0.2), pair_of(0.2, 1)


def test_a_disturbed_pair_is_measured_again():
    bench = MadeUp([STOLEN, GOOD, BUSY, GOOD, GOOD])
    assert bench.choose(2) == [GOOD, GOOD]
    assert bench.rounds == [0, 0, 1, 1]  # so that the order of sides alternates
    account = bench.account()
    assert account == {
        "measured": 4, "disturbed": 2, "counted": 0, "left_out": [STOLEN, BUSY],
        "reasons": {"time stolen": 2, "other processes": 1}}
    assert list(quiet.lines_of({"row": account})) == [
        "- row: 2 of 4 measurements disturbed (time stolen: 2, other processes: 1), "
        "which do not count"]


def test_a_bad_machine_ends_too_and_is_told_of():
    bench = MadeUp([STOLEN] * 100)
    assert bench.choose(2) == [STOLEN] * 2 * quiet.TRIES
    account = bench.account()
    assert account["counted"] == account["disturbed"] == 2 * quiet.TRIES
    assert account["left_out"] == []
    line, = quiet.lines_of({"row": account})
    assert f"of which {2 * quiet.TRIES} count for want of others" in line


def test_one_that_is_undisturbed_is_enough_to_leave_the_others_out():
    bench = MadeUp([*[BUSY] * 5, GOOD])
    assert bench.choose(2) == [GOOD]
    assert bench.account()["counted"] == 0


def test_a_starved_machine_is_told_of():
    bench = MadeUp([None, GOOD, None])
    assert bench.choose(1) == [GOOD]
    line, = quiet.lines_of({"row": bench.account()})
    assert "1 of 2 measurements disturbed (nothing measured: 1)" in line
    with pytest.raises(SystemExit, match="nothing was answered"):
        MadeUp([None] * quiet.TRIES).choose(1)


def test_nothing_measured_has_no_excuse_on_a_quiet_machine(monkeypatch):
    def measure():
        raise Void("nothing was answered")
    bench = types.SimpleNamespace(started=())
    monkeypatch.setattr(machine.Watch, "taken", lambda self: GOOD["check"])
    with pytest.raises(SystemExit, match="nothing was answered"):
        Bench.watched(bench, measure)
    monkeypatch.setattr(machine.Watch, "taken", lambda self: STOLEN["check"])
    with pytest.raises(Void):
        Bench.watched(bench, measure)


def test_quick_measures_nothing_again():
    bench = MadeUp([STOLEN, GOOD, GOOD], is_quick=True)
    assert bench.choose(2) == [GOOD] and len(bench.left) == 1


def test_what_is_undisturbed_is_not_told_of():
    bench = MadeUp([GOOD, GOOD])
    bench.choose(1)
    bench.choose(1)
    assert bench.account()["measured"] == 2  # of all choices of the row
    assert list(quiet.lines_of({"row": bench.account()})) == []


def test_a_row_says_that_it_is_disturbed(capsys):
    row = {**report.row("rate", 1, 2, True), "disturbed": True}
    report.show_rows([row, {**row, "disturbed": False}])
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.endswith("NOT REACHED, disturbed") and second.endswith("NOT REACHED")
    assert "| **not reached**, disturbed |" in tables.rows_markdown([row])


def test_what_is_stolen_is_the_eighth_figure_of_the_cores():
    taken, stolen = machine.stat_of_cores("cpu  100 20 3 4000 500 60 70 800 9 9\n")
    assert (taken * machine.TICKS, stolen * machine.TICKS) == (123, 800)


def test_what_was_taken_is_a_part_of_all_cores(monkeypatch):
    # clock, stolen, others' seconds, others' by what all took
    reads = iter([(10, 1, 100, 50), (12, 1.1, 100.4, 49.9)])
    monkeypatch.setattr(machine.Watch, "read", lambda self: next(reads))
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    assert machine.Watch().taken() == {"stolen": 0.025, "others": 0.2}


def test_our_servers_are_no_others():
    me = os.getpid()
    alone, beside = machine.others_seconds({me}), machine.others_seconds(set())
    assert beside >= alone + machine.process_seconds(me)[0] - 2 / machine.TICKS


# --- what is made of the figures ------------------------------------------------------


def sample_of(*cells, missed=0):
    return {"histogram_us": list(map(list, cells)), "missed": missed}


def test_percentiles_are_of_all_requests_together():
    # One stall in one of three rounds: more than 1 % of that round, and of all of them.
    calm, stall = sample_of((1.5, 1000)), sample_of((1.5, 950), (2000, 50))
    assert histogram.percentiles_of([calm, stall, calm]) == {
        "p50_us": 1.5, "p99_us": 2000, "p999_us": 2000}
    assert histogram.percentiles_of([calm, calm])["p999_us"] == 1.5


def test_what_was_never_sent_is_longer_than_all():
    fast = (1, 985), (7, 5)
    assert rows_latency.with_missed(sample_of(*fast))["p99_us"] == 1
    assert rows_latency.with_missed(sample_of(*fast, missed=10))["p99_us"] == 7
    assert rows_latency.with_missed(sample_of((1, 10), missed=90))["p50_us"] == 1


def test_every_pair_counts_for_the_latency():
    samples = [rows_latency.with_missed(sample_of((p99, 1000))) for p99 in (1, 1, 8)]
    assert rows_latency.together(samples) == {
        "p50_us": pytest.approx(2), "p99_us": pytest.approx(2), "p999_us": pytest.approx(2),
        "all_p99_us": 8, "all_p999_us": 8}
    assert report.geometric_mean([4, 1, 2]) == pytest.approx(2)


def test_means_are_told_in_the_place_of_medians():
    pairs = [{"a": {"p50_us": 1, "p99_us": 2}}, {"a": {"p50_us": 3, "p99_us": 5}}]
    assert report.figures_of(pairs, "a", {}) == ["p50 2 us", "p99 4 us"]
    assert report.figures_of(pairs, "a", {"a": {"p99_us": 5, "all_p99_us": 9}}) == [
        "p50 2 us", "p99 5 us", "of all requests p99 9 us"]


def made_up(steps):
    return [{"at": n, "checks_per_second": 1e5 / n, "p50_us": n, "p99_us": 3.0 * n,
             "daemon_us_per_check": 1.25, "redis_us_per_check": 2.5} for n in steps]


def result():
    return {"cores": 2, "scales": {
        name: {store: made_up(s.steps) for store in STORES}
        for name, s in scale.SCALES.items()}}


def test_the_picture_of_scale_has_every_point_and_word():
    root = ElementTree.fromstring(scale_picture.draw_scale(result()))
    words = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    for s in scale.SCALES.values():
        assert words.count(s.note) == 3 and words.count(s.word) == 3
        for what in ("throughput", "latency", "cost"):
            assert f"{s.title}: {what}" in words
        assert all(f"{step:,}" in words for step in s.steps)
    # a throughput of two lines, a latency of four and a cost of three
    assert len(root.findall(".//{*}circle")) == sum(
        (2 + 4 + 3) * len(s.steps) for s in scale.SCALES.values())


def test_steps_stand_in_proportion_where_x_is_not_logarithmic():
    chart = svg.Chart("t", "x", "y", [svg.Line("l", "#000", False,
                                               [(1, 1), (2, 1), (3, 1)])], log_x=False)
    at = svg.x_position(chart)
    assert at(2) - at(1) == pytest.approx(at(3) - at(2))


def test_no_mark_of_an_axis_is_rounded_away():
    assert [svg.label(n) for n in (0, 0.5, 1.5, 2, 1500)] == ["0", "0.5", "1.5", "2",
                                                             "1,500"]


def test_the_embedded_store_has_no_figure_of_redis():
    head, rows = tables.scale_table("limits", result()["scales"]["limits"])
    column = head.index("Redis, µs of CPU")
    assert [r[column] for r in rows] == ["–"] * 5 + ["2.50"] * 5


def test_tables_are_put_in_their_places():
    text = "a\n<!-- bench: one -->\nold\n<!-- /bench -->\nb <!-- bench: two -->\n" \
        "<!-- /bench -->\n"
    assert tables.replace_parts(text, {"one": r"n\1w", "two": "x"}) == \
        "a\n<!-- bench: one -->\nn\\1w\n<!-- /bench -->\nb <!-- bench: two -->\nx\n" \
        "<!-- /bench -->\n"
    with pytest.raises(KeyError):
        tables.replace_parts(text, {"three": ""})


def test_the_docs_have_a_place_for_every_table():
    text = (ROOT / "docs/performance.md").read_text()
    tables.replace_parts(text, dict.fromkeys(("machine", "rows", "figures", "scale"), ""))
