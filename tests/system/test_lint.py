# SPDX-License-Identifier: ISC
"""Broken policy documents: refused with their place, by ration lint and by rationd."""
import collections
import json
import re
import shutil

import pytest

from harness import EXAMPLE, ROOT, run_ration, run_rationd

BROKEN = ROOT / "tests/policies/broken"
GOOD = sorted((ROOT / "tests/policies/good").glob("*.json")) + [EXAMPLE]

Fault = collections.namedtuple("Fault", "line column pointer piece")

# "file:3:5: text (/pointer)", from ration lint and from rationd.
LINE = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): "
                  r"(?P<text>.+?)(?: \((?P<pointer>/.*)\))?")


def read_expected():
    """{document: [Fault]}, in the order of the lines."""
    expected = collections.defaultdict(list)
    for row in (BROKEN / "expected.txt").read_text("utf-8").splitlines():
        if row and not row.startswith("#"):
            name, line, column, pointer, piece = row.split("\t")
            expected[name].append(Fault(int(line), int(column), pointer, piece))
    return dict(expected)


EXPECTED = read_expected()


def shown(text):
    """As people's output writes what could drive a terminal."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\x{ord(m[0]):02x}", text)


def assert_faults(stderr, pattern, file, expected):
    lines = [line for line in stderr.splitlines() if line]
    assert len(lines) == len(expected), stderr
    for line, fault in zip(lines, expected):
        found = pattern.fullmatch(line)
        assert found, line
        assert found["file"] == str(file)
        assert (int(found["line"]), int(found["column"])) == (fault.line, fault.column)
        pointer = found["pointer"] or ""
        assert pointer.startswith(fault.pointer) if fault.pointer else not pointer, line
        assert fault.piece in found["text"], line


def test_every_broken_document_is_described():
    assert {file.name for file in BROKEN.glob("*.json")} == set(EXPECTED)
    assert len(EXPECTED) >= 40


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_broken(name):
    faults = [f._replace(pointer=shown(f.pointer)) for f in EXPECTED[name]]
    done = run_ration("lint", BROKEN / name)
    assert done.returncode == 1
    assert_faults(done.stderr, LINE, BROKEN / name, faults)
    plural = "" if len(faults) == 1 else "s"
    assert done.stdout == f"1 file, {len(faults)} error{plural}\n"


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_rationd_refuses(name):
    done = run_rationd("--check-config", "--policy", BROKEN / name)
    assert done.returncode == 78
    assert done.stdout == ""
    assert_faults(done.stderr, LINE, BROKEN / name, EXPECTED[name])


def test_rationd_does_not_serve_a_broken_document():
    """Not only --check-config: no socket is opened."""
    done = run_rationd("--policy", BROKEN / "key_misspelt.json", "--listen-http",
                       "127.0.0.1:0", "--listen-resp", "127.0.0.1:0")
    assert done.returncode == 78
    assert "listening" not in done.stderr
    assert_faults(done.stderr, LINE, BROKEN / "key_misspelt.json",
                  EXPECTED["key_misspelt.json"])


def test_all_errors_of_all_files_at_once():
    files = [BROKEN / "many.json", EXAMPLE, BROKEN / "key_misspelt.json"]
    words = [word for file in files for word in ("--policy", file)]
    done = run_rationd("--check-config", *words)
    assert done.returncode == 78
    both = EXPECTED["many.json"] + EXPECTED["key_misspelt.json"]
    assert len(done.stderr.splitlines()) == len(both) > 2


def test_lint_goes_on_behind_a_broken_file():
    files = [EXAMPLE, BROKEN / "key_misspelt.json", GOOD[0]]
    done = run_ration("lint", *files)
    assert done.returncode == 1
    assert_faults(done.stderr, LINE, files[1], EXPECTED["key_misspelt.json"])
    first, last, total = done.stdout.splitlines()
    assert first == f"{EXAMPLE}: ok (1 tool, 1 limit)"
    assert last.startswith(f"{GOOD[0]}: ok (")
    n = len(EXPECTED["key_misspelt.json"])
    assert total == f"3 files, {n} error{'' if n == 1 else 's'}"


def test_lint_json():
    done = run_ration("lint", "--json", BROKEN / "many.json", EXAMPLE)
    assert done.returncode == 1
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    broken, good = answer["files"]
    assert broken["file"] == str(BROKEN / "many.json")
    assert not broken["ok"]
    places = [(e["line"], e["column"], e["pointer"]) for e in broken["errors"]]
    assert places == [(f.line, f.column, f.pointer) for f in EXPECTED["many.json"]]
    assert good == {"file": str(EXAMPLE), "ok": True, "tools": 1, "limits": 1,
                    "errors": [], "more": 0}
    assert answer["errors"] == len(places)
    assert answer["unreadable"] == 0


def test_lint_tells_what_it_could_not_read():
    done = run_ration("lint", "--json", "/nonexistent.json", EXAMPLE, "/")
    assert done.returncode == 2
    answer = json.loads(done.stdout)
    assert [(f["file"], f["ok"], "unreadable" in f) for f in answer["files"]] == [
        ("/nonexistent.json", False, True), (str(EXAMPLE), True, False), ("/", False, True)]
    assert "No such file" in answer["files"][0]["unreadable"]
    assert (answer["errors"], answer["unreadable"]) == (0, 2)
    done = run_ration("lint", "/nonexistent.json", EXAMPLE)
    assert done.returncode == 2
    assert done.stdout.endswith("1 file, 0 errors, 1 unreadable\n")


def test_good_documents():
    assert len(GOOD) >= 5
    done = run_ration("lint", *GOOD)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == f"{len(GOOD)} files, 0 errors"
    assert [line.split(": ok (")[0] for line in lines[:-1]] == [str(f) for f in GOOD]


def test_rationd_takes_good_documents(tmp_path):
    """Under names of their own, since two policies may not share one."""
    words = []
    for i, file in enumerate(GOOD):
        shutil.copy(file, tmp_path / f"p{i}.json")
        words += ["--policy", tmp_path / f"p{i}.json"]
    done = run_rationd("--check-config", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok\n")
    for i in range(len(GOOD)):
        assert f"policy p{i}: " in done.stdout


def test_lint_reads_from_a_pipe():
    done = run_ration("lint", "-", input='{"version": "1", "default": "maybe"}')
    assert done.returncode == 1
    assert done.stderr.startswith("<stdin>:1:")
    assert "(/default)" in done.stderr


@pytest.mark.parametrize("words,piece", [
    ([], "FILE"),
    (["/nonexistent/policy.json"], "/nonexistent/policy.json: No such file"),
    (["/"], "/: "),
    (["--colour", "x.json"], "--colour"),
])
def test_lint_usage(words, piece):
    """What cannot be judged is not the same as judged to be bad."""
    done = run_ration("lint", *words)
    assert done.returncode == 2
    assert piece in done.stderr


def test_a_file_name_does_not_reach_the_terminal_as_it_is(tmp_path):
    document = {"version": "1", "default": "deny", **{f"k{i}": 1 for i in range(1000)}}
    (tmp_path / "a\x1b[31m.json").write_text(json.dumps(document))
    done = run_ration("lint", "a\x1b[31m.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert re.search(r"^a\\x1b\[31m\.json: and \d+ more$", done.stderr, re.M)


def test_lint_of_a_big_document(tmp_path):
    """10,000 tools, 1,000 of them with a limit, and hidden names: it ends, and counts."""
    limit = {"window": "hour", "max": 1, "scope": ["grant", "org"]}
    tools = {f"tool_{i}": {} for i in range(10000)}
    for i in range(0, 10000, 10):
        tools[f"tool_{i}"] = {"limits": [{"counter": f"c{i}", **limit}]}
    document = {"version": "1", "default": "deny", "tools": tools,
                "hide": [f"hidden_{i}" for i in range(10000)]}
    (tmp_path / "big.json").write_text(json.dumps(document, indent=1))
    done = run_ration("lint", tmp_path / "big.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path}/big.json: ok (10000 tools, 1000 limits)")
    tools["tool_9999"] = {"limit": []}
    (tmp_path / "big.json").write_text(json.dumps(document, indent=1))
    done = run_ration("lint", tmp_path / "big.json")
    assert done.returncode == 1
    assert "(/tools/tool_9999/limit)" in done.stderr
