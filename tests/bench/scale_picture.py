# SPDX-License-Identifier: ISC
"""The picture of scale: for each of the four, throughput, latency and CPU a check."""
from bench.scale import SCALES
from bench.svg import Chart, Line, page

COLOURS = {"memory": "#4b8b3b", "redis": "#1f6f9f", "Redis": "#b3541e"}
NAMES = {"memory": "embedded store", "redis": "over Redis"}


def line(points, key, name, colour, scale=1, dashed=False):
    return Line(name, COLOURS[colour], dashed,
                [(p["at"], p[key] * scale) for p in points])


def charts_of(name, stores):
    scale = SCALES[name]

    def chart(what, y_title, lines, **kw):
        return Chart(f"{scale.title}: {what}", scale.word, y_title, lines,
                     log_x=scale.log_x, note=scale.note, **kw)

    return [
        chart("throughput", "thousand checks a second",
              [line(points, "checks_per_second", NAMES[store], store, 1e-3)
               for store, points in stores.items()]),
        chart("latency", "microseconds, under as much load as it takes", [
            line(points, key, f"{NAMES[store]}, {text}", store, dashed=key == "p99_us")
            for store, points in stores.items()
            for key, text in (("p50_us", "median"), ("p99_us", "99 %"))], log_y=True),
        chart("cost", "microseconds of CPU a check", [
            line(stores["memory"], "daemon_us_per_check", "rationd, embedded store",
                 "memory"),
            line(stores["redis"], "daemon_us_per_check", "rationd over Redis", "redis"),
            line(stores["redis"], "redis_us_per_check", "Redis itself", "Redis")]),
    ]


def draw_scale(result):
    cores = result["cores"]
    return page([chart for name, stores in result["scales"].items()
                 for chart in charts_of(name, stores)], columns=3,
                title="What a check costs against scale",
                caption=f"Load generator, rationd and Redis share {cores} cores. Solid and "
                "dashed lines connect what was measured (dots); scripts/bench --scale.")
