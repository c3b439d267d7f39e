# SPDX-License-Identifier: ISC
"""docs/policy.schema.json judges documents as the parser does, as far as a schema can."""
import copy
import json
import re

import jsonschema
import pytest

from harness import ROOT, run_ration

FILE = ROOT / "docs/policy.schema.json"
SCHEMA = json.loads(FILE.read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
BROKEN = ROOT / "tests/policies/broken"
GOOD = (sorted((ROOT / "tests/policies/good").glob("*.json")) +
        sorted((ROOT / "examples/policies").glob("*.json")))

# What a schema cannot say, or what is lost before it looks: the names of documents that
# only the parser refuses, and why.
BEYOND = {
    r"duplicate_.*|overrides_twice": "readers of JSON keep the last of two keys",
    r"charged_twice.*|rate_limit_charged_twice.*": "two limits that are the same",
    r"counter_twice.*": "two limits of one list with one name",
    r"regex_.*": "the pattern cannot be compiled",
    r"timezone_.*": "time zones that the system does not have",
    r"(override_)?bucket_too_(fast|slow)": "rates that a token bucket cannot have",
    r"nul_escape_.*|half_surrogate": "characters that names and texts must not have",
}


def refuses(document):
    return not VALIDATOR.is_valid(document)


def load(file):
    """The document as editors read it; None where it is no JSON."""
    try:
        text = file.read_bytes().decode("utf-8")
        return json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError, RecursionError):
        return None


def test_the_schema_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def subschemas(node, where="#"):
    if isinstance(node, dict):
        yield where, node
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in children:
        if isinstance(child, (dict, list)) and key not in ("examples", "default", "enum"):
            yield from subschemas(child, f"{where}/{key}")


def test_examples_and_defaults_are_good():
    """What an editor offers is what the schema itself takes."""
    seen = 0
    for where, node in subschemas(SCHEMA):
        if where.endswith("/properties"):
            continue
        offered = list(node.get("examples", []))
        offered += [node["default"]] if "default" in node else []
        for value in offered:
            whole = dict(node, **{"$defs": SCHEMA["$defs"]})
            assert jsonschema.Draft202012Validator(whole).is_valid(value), (where, value)
            seen += 1
    assert seen > 20


def test_every_reference_leads_somewhere():
    referred = {node["$ref"] for _, node in subschemas(SCHEMA)
                if isinstance(node.get("$ref"), str)}
    assert referred == {f"#/$defs/{name}" for name in SCHEMA["$defs"]}


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.name)
def test_good(file):
    errors = list(VALIDATOR.iter_errors(load(file)))
    assert not errors, errors[0]


def test_examples_of_the_page():
    text = (ROOT / "docs/policy.md").read_text("utf-8")
    blocks = re.findall(r"^```json\n(.*?)^```", text, re.M | re.S)
    documents = [json.loads(block) for block in blocks]
    policies = [d for d in documents if "version" in d]
    assert len(policies) >= 5
    for document in policies:
        assert not list(VALIDATOR.iter_errors(document)), document


def is_beyond(file):
    return any(re.fullmatch(pattern, file.stem) for pattern in BEYOND)


def test_broken():
    """Each is refused, but for what no schema can say; and that list is not too long."""
    taken, needless, judged = [], set(BEYOND), 0
    for file in sorted(BROKEN.glob("*.json")):
        document = load(file)
        if document is None:
            continue
        if refuses(document):
            judged += 1
            continue
        needless -= {p for p in BEYOND if re.fullmatch(p, file.stem)}
        if not is_beyond(file):
            taken.append(file.name)
    assert not taken
    assert not needless
    assert judged > 120


# --- the parser and the schema side by side ------------------------------------------

def limit(**keys):
    """A document with one limit."""
    whole = {"counter": "c", "window": "day", "max": 1, **keys}
    return {"version": "1", "default": "deny", "all_tools": {"limits": [whole]}}


# Keys are added to these too; but a rule that joins two keys needs a seed with one of them.
SEEDS = [
    {"version": "1", "default": "deny", "description": "d", "hide": ["h"],
     "tools": {"t": {"action": "deny", "reason": "r", "limits": [],
                     "rate_limit": {"max": 1, "window": 60}}}},
    {"version": "1", "default": "deny", "tools": {"t": {
        "require": [{"on_deny": "m", "conditions": [
            {"path": "args.a", "op": op, "value": value} for op, value in (
                ("eq", "x"), ("in", ["x", 1]), ("lt", 1), ("regex", "x"),
                ("contains", True), ("exists", True))]}],
        "deny_if": [{"conditions": []}]}}},
    limit(), limit(scope=["grant", "org"], on_deny="m"), limit(scope="org"),
    limit(algorithm="token_bucket", burst=5), limit(window="month", anchor=15),
    limit(window="week", anchor="sunday"), limit(timezone="Europe/Berlin"),
    limit(timezone="UTC", window="90s"), limit(timezone="UTC", window=60),
    limit(timezone="UTC", window="1440m"), limit(timezone="UTC", window=7200),
    limit(overrides={"x": 1}), limit(overrides={"x": 1}, scope=["org"]),
]
ODD = [None, True, False, 0, 1, -1, 1.5, 16.0, 2**53 - 1, 2**53, "", "x", "1", "*",
       "global", "tool", "month", "90s", "3651d", "args.a", "args..a", "args", "regex", "eq",
       [], [1], ["x"], ["x", "x"], ["tool"], [None], [{}], {}, {"x": 1}, {"": 1}]


def places(node, at=()):
    """Every place of a document, the root left out."""
    children = node.items() if isinstance(node, dict) else \
        enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield at + (key,)
        yield from places(child, at + (key,))


def changed(document, place, change):
    document = copy.deepcopy(document)
    node = document
    for key in place[:-1]:
        node = node[key]
    change(node, place[-1])
    return document


# Of which kind the members of a list, or of an object, are.
KINDS = {"limits": "limit", "tools": "tool", "require": "entry", "deny_if": "entry",
         "conditions": "condition"}


def additions(document, place):
    """The keys that the object at this place may have, each with all kinds of values."""
    kind = SCHEMA if not place else {"properties": {}}
    if len(place) > 1 and place[-2] in KINDS:
        kind = SCHEMA["$defs"][KINDS[place[-2]]]
    for key, words in kind["properties"].items():
        for value in ODD + words.get("enum", []) + words.get("examples", []):
            yield changed(document, place + (key,), lambda n, k: n.__setitem__(k, value))


def mutants():
    """One change each: a member taken away, renamed, added or given another value."""
    for seed in SEEDS:
        yield from additions(seed, ())
        for place in places(seed):
            yield changed(seed, place, lambda n, k: n.pop(k))
            for value in ODD:
                yield changed(seed, place, lambda n, k: n.__setitem__(k, value))
            if isinstance(place[-1], str):
                yield changed(seed, place, lambda n, k: n.__setitem__("zz", n.pop(k)))
            yield from additions(seed, place)


# What the parser tells of a document that the schema takes, by what a schema cannot say.
ONLY_THE_PARSER = re.compile(
    r"is given twice in this list|charged twice|the pattern cannot be used|"
    r"must not be longer than|the time zone .* cannot be used|a time zone is a name|"
    r"a microsecond|days to fill")


def lint(folder, documents):
    """ration lint's word on each: the texts of its errors."""
    names = []
    for i, document in enumerate(documents):
        name = f"{i}.json"
        (folder / name).write_text(json.dumps(document), "utf-8")
        names.append(name)
    said = []
    for i in range(0, len(names), 500):
        done = run_ration("lint", "--json", *names[i:i + 500], cwd=folder)
        assert done.returncode in (0, 1), done.stderr
        said += [[e["text"] for e in file["errors"]]
                 for file in json.loads(done.stdout)["files"]]
    return said


def test_as_the_parser(tmp_path):
    texts = sorted({json.dumps(document) for document in mutants()})
    documents = [json.loads(text) for text in texts]
    assert len(documents) > 3000
    for document, errors in zip(documents, lint(tmp_path, documents)):
        if refuses(document):
            assert errors, f"only the schema refuses {json.dumps(document)}"
        elif errors:
            assert all(ONLY_THE_PARSER.search(e) for e in errors), (
                f"only the parser refuses {json.dumps(document)}: {errors}")


@pytest.mark.parametrize("unit,most", [
    ("s", 315360000), ("m", 5256000), ("h", 87600), ("d", 3650)])
def test_longest_durations(unit, most):
    """The patterns count: every length of number, around the bound and below it."""
    validator = jsonschema.Draft202012Validator(
        {"$ref": "#/$defs/window_duration", "$defs": SCHEMA["$defs"]})
    numbers = {most + i for i in range(-3, 4)} | {0, 1}
    for i in range(1, 12):
        numbers |= {10**i - 1, 10**i, most // 10**i * 10**i, most // 10**i * 10**i - 1,
                    (most // 10**i + 1) * 10**i}
    for n in numbers:
        assert validator.is_valid(f"{n}{unit}") == (1 <= n <= most), n
    assert not validator.is_valid(f"01{unit}")
    assert not validator.is_valid(unit)


def test_a_document_names_no_schema():
    """Which schema holds is said in the editor; see docs/policy.md."""
    document = {"$schema": "x", "version": "1", "default": "deny"}
    assert refuses(document)
    done = run_ration("lint", "-", input=json.dumps(document))
    assert done.returncode == 1
    assert 'unknown key "$schema"' in done.stderr
