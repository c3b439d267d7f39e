# SPDX-License-Identifier: ISC
"""scripts/bench: its rows of latency and scale, which need no other tool; and what is made
of the figures. Never how fast anything is."""
import json
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from harness import RATION, RATIOND, built, clean_env

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench import rows_latency, scale, scale_picture, svg, tables  # noqa: E402

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
    for side in pair.values():
        assert side["p50_us"] <= side["p99_us"] <= side["p999_us"]
    assert "p99.9" in out and "cores meanwhile" in out


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


def test_a_rate_that_was_not_held_is_left_out():
    def pair(check, ping):
        return {"check": {"missed": check}, "PING": {"missed": ping}}
    held, one, other = pair(9, 0), pair(10, 0), pair(0, 500)
    assert rows_latency.undisturbed([one, held, other], 1000) == [held]
    assert rows_latency.undisturbed([one, other], 1000) == [one, other]


# --- what is made of the figures ------------------------------------------------------


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
