# SPDX-License-Identifier: ISC
"""What scripts/bench runs. Adding a row: its function in a rows_*.py, its line in the
table of rows.py."""
