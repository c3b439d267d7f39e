# SPDX-License-Identifier: ISC
"""scripts/check-includes passes on the tree, and fails on every kind of breach."""
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "check-includes"


def check(server):
    return subprocess.run([sys.executable, str(SCRIPT), str(server)], text=True,
                          capture_output=True, timeout=60, check=False)


@pytest.fixture(name="server")
def copy_of_server(tmp_path):
    return pathlib.Path(shutil.copytree(ROOT / "server", tmp_path / "server"))


def test_tree_is_clean():
    result = check(ROOT / "server")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path, include, sentence", [
    ("limit/limit.c", '#include "net/conn.h"', "the arithmetic of one limit"),
    ("limit/limit.c", "#include <jansson.h>", "the arithmetic of one limit"),
    ("base/buf.c", '#include "limit/limit.h"', "errors, logs, time, bytes"),
    ("policy/policy.h", '#include "store/store.h"', "which verdict or which charges"),
    ("wire/http.h", '#include "check/check.h"', "may include: base, limit, check (types only"),
    ("front/front.h", "#include <event2/event.h>", "one protocol each"),
    ("net/conn.h", "#include <hiredis/hiredis.h>", "event loop, timers"),
    ("ops/config.c", '#include "front/front.h"', "all but front"),
    ("check/check.h", '#include "worker.h"', "the life of one check"),
    ("main.c", "#include <event2/event.h>", "order of birth and death"),
    ("main.c", '#include "utils/all.h"', "order of birth and death"),
])
def test_breach_is_told(server, path, include, sentence):
    file = server / path
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(lines[:1] + [include] + lines[1:]) + "\n", encoding="utf-8")
    result = check(server)
    assert result.returncode == 1
    assert f"server/{path}:2: " in result.stdout
    assert sentence in result.stdout


def test_room_without_a_row(server):
    (server / "utils").mkdir()
    (server / "utils" / "all.h").write_text("#include <stddef.h>\n", encoding="utf-8")
    result = check(server)
    assert result.returncode == 1
    assert "utils/ has no row" in result.stdout


def test_without_the_table(server):
    (server / "README.md").write_text("# nothing\n", encoding="utf-8")
    assert check(server).returncode == 2
