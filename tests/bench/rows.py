# SPDX-License-Identifier: ISC
"""All rows, in the order in which they are measured."""
from functools import partial

from bench.rows_alone import embedded_row, http_row, lone_row
from bench.rows_latency import latency_row
from bench.rows_memory import connection_row, counter_row, idle_row
from bench.rows_policy import load_row, tools_row
from bench.rows_redis import PIPELINES, far_row, hot_row, limits_row, pipeline_row

# name -> function of the Bench and the name; it gives the rows of the report, and the
# pairs, [{side: sample}]
ROWS = {
    **{f"pipeline-{n}": partial(pipeline_row, pipeline=n) for n in PIPELINES},
    "three-limits": limits_row,
    "hot-grant": hot_row,
    "far-redis": far_row,
    "embedded": embedded_row,
    "lone-check": lone_row,
    "latency": partial(latency_row, pipeline=1),
    "latency-16": partial(latency_row, pipeline=16),
    "http": http_row,
    "policy-memory": partial(tools_row, store="memory"),
    "policy-redis": partial(tools_row, store="redis"),
    "policy-load": load_row,
    "memory-idle": idle_row,
    "memory-connection": connection_row,
    "memory-counter": counter_row,
}
