# SPDX-License-Identifier: ISC
"""An installed copy: what is in it, and programs that build with it."""
import pathlib
import re
import shutil

import pytest

from harness import RATION, ROOT, built, run

VERSION = re.search(r'#define RATION_VERSION "(.+)"',
                    (ROOT / "include/ration/ration.h").read_text())[1]

CMAKE_LISTS = """
cmake_minimum_required(VERSION 3.22)
project(outside LANGUAGES C)
find_package(ration {version} REQUIRED)
add_executable(shared {source})
target_link_libraries(shared PRIVATE ration::ration)
add_executable(static {source})
target_link_libraries(static PRIVATE ration::ration_static)
"""


def command(*words, **kw):
    done = run(*words, seconds=120, **kw)
    assert done.returncode == 0, f"{words}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """The library without sanitizers, installed elsewhere than it was built for."""
    build = tmp_path_factory.mktemp("build")
    prefix = tmp_path_factory.mktemp("elsewhere") / "with space"
    command("cmake", "-G", "Ninja", "-S", ROOT, "-B", build,
            "-DCMAKE_BUILD_TYPE=Release", "-DRATION_TESTS=OFF", "-DCMAKE_INSTALL_LIBDIR=lib")
    command("cmake", "--build", build, "--target", "ration_client_shared",
            "ration_client_static")
    command("cmake", "--install", build, "--prefix", prefix, "--component", "devel")
    shutil.rmtree(build)
    return prefix


def symbols(library, *flags):
    """{name: letter of nm} of what a library defines for others."""
    text = command("nm", "--defined-only", "--extern-only", *flags, library)
    fields = [line.split() for line in text.splitlines()]
    return {f[2]: f[1] for f in fields if len(f) == 3}


def public_names():
    """The functions of the header."""
    text = (ROOT / "include/ration/ration.h").read_text()
    return set(re.findall(r"^RATION_API [^(]*?(\w+)\(", text, re.M))


def test_files(prefix):
    files = {str(p.relative_to(prefix)) for p in prefix.rglob("*") if not p.is_dir()}
    assert files >= {
        "include/ration/ration.h", "lib/libration.a", "lib/libration.so",
        "lib/libration.so.0", f"lib/libration.so.{VERSION}", "lib/pkgconfig/ration.pc",
        "lib/cmake/ration/ration-config.cmake",
        "lib/cmake/ration/ration-config-version.cmake", "share/man/man3/libration.3"}
    assert {f for f in files if f.startswith("include/")} == {"include/ration/ration.h"}
    text = "".join((prefix / f).read_text() for f in files
                   if f.endswith((".pc", ".cmake", ".h")))
    assert str(ROOT) not in text  # nothing points back to where it was built


def test_only_public_symbols(prefix):
    assert len(public_names()) == 14
    assert set(symbols(prefix / "lib/libration.so", "--dynamic")) == public_names()
    # An archive cannot hide names; they all carry the prefix, so that none collides.
    archive = symbols(prefix / "lib/libration.a")
    assert public_names() < set(archive)
    assert all(name.startswith("ration_") for name in archive), archive
    needed = command("objdump", "-p", prefix / "lib/libration.so")
    assert "SONAME               libration.so.0\n" in needed


def test_man_page_and_header_name_the_same(prefix):
    page = (prefix / "share/man/man3/libration.3").read_text()
    header = (prefix / "include/ration/ration.h").read_text()
    for name in public_names():
        assert re.search(rf"^\.F[no] {name}\b", page, re.M), name
    for code in re.findall(r"^\tRATION_ERR_\w+", header, re.M):
        assert f".It Dv {code.strip()}" in page, code


def assert_works(program, daemon, prefix):
    env = {"LD_LIBRARY_PATH": str(prefix / "lib")}
    for left in (1, 0):
        done = run(program, "t", program.name, daemon.resp_text, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"go ahead, {left} left\n"
    done = run(program, "t", program.name, daemon.resp_text, env=env)
    assert done.returncode == 1
    assert re.fullmatch(r"no: .+, again in \d+ ms\n", done.stdout)
    denied = run(program, "unlisted", "g", daemon.resp_text, env=env)
    assert denied.returncode == 1
    assert re.fullmatch(r"no: [^,]+\n", denied.stdout), denied.stdout
    gone = run(program, "t", "g", "127.0.0.1:1", env=env)
    assert gone.returncode == 3
    assert "refused" in gone.stderr


@pytest.fixture(scope="module")
def daemon(module_rationd):
    return module_rationd({"version": "1", "default": "deny", "tools": {"t": {"limits": [
        {"counter": "c", "window": "7d", "max": 2}]}}})


def test_pkg_config(prefix, daemon, tmp_path):
    env = {"PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}
    assert command("pkg-config", "--modversion", "ration", env=env) == f"{VERSION}\n"
    for name, flags in (("shared-pc", []), ("static-pc", ["--static"])):
        # As a Makefile would: the shell takes the words apart.
        words = command("pkg-config", *flags, "--cflags", "--libs", "ration", env=env)
        if flags:
            words = words.replace("-lration", "-l:libration.a")
        cc = f'cc -std=c11 -Wall -Wextra -Wpedantic -Werror -o "$1" "$2" {words.strip()}'
        command("bash", "-c", cc, "bash", tmp_path / name, ROOT / "examples/client.c")
        agent = cc.replace("$1", "$1-agent")
        command("bash", "-c", agent, "bash", tmp_path / name,
                ROOT / "examples/agent_loop.c")
        linked = "libration.so" in command("objdump", "-p", tmp_path / name)
        assert linked == (name == "shared-pc")
        assert_works(tmp_path / name, daemon, prefix)


def test_find_package(prefix, daemon, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(CMAKE_LISTS.format(
        version=VERSION, source=ROOT / "examples/client.c"))
    command("cmake", "-G", "Ninja", "-S", tmp_path, "-B", tmp_path / "b",
            f"-DCMAKE_PREFIX_PATH={prefix}")
    command("cmake", "--build", tmp_path / "b")
    for name in ("shared", "static"):
        assert_works(tmp_path / "b" / name, daemon, prefix)
    assert "libration.so" not in command("objdump", "-p", tmp_path / "b/static")


def test_header_in_cplusplus(prefix, tmp_path):
    if not shutil.which("c++"):
        pytest.skip("no C++ compiler")
    source = tmp_path / "x.cc"
    source.write_text("#include <ration/ration.h>\nint main() {\n"
                      "ration_options o = RATION_OPTIONS_INIT;\n"
                      "ration_request q = RATION_REQUEST_INIT;\n"
                      "ration_answer a = RATION_ANSWER_INIT;\n"
                      "ration_settle s = RATION_SETTLE_INIT;\n"
                      "ration_counters e = RATION_COUNTERS_INIT;\n"
                      "return o.size && q.size && a.size && s.size && e.size &&\n"
                      "ration_version() ? 0 : 1;\n}\n")
    command("c++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "x",
            source, f"-I{prefix / 'include'}", f"-L{prefix / 'lib'}", "-lration")
    assert run(tmp_path / "x",
               env={"LD_LIBRARY_PATH": str(prefix / "lib")}).returncode == 0


def test_whole_installation(tmp_path):
    """Everything of the build that is under test."""
    build = pathlib.Path(built(RATION)).resolve().parent
    if not (build / "cmake_install.cmake").exists():
        pytest.skip(f"{build} is no build folder")
    command("cmake", "--install", build, "--prefix", tmp_path)
    for name, words in (("ration", ["--version"]), ("rationd", ["--version"])):
        assert command(tmp_path / "bin" / name, *words) == f"{name} {VERSION}\n"
    for page in ("man1/ration.1", "man8/rationd.8", "man3/libration.3"):
        assert (tmp_path / "share/man" / page).exists()
    for name in ("ration", "rationd"):
        assert (tmp_path / "share/bash-completion/completions" / name).exists()
    schema = tmp_path / "share/ration/policy.schema.json"
    assert schema.read_bytes() == (ROOT / "docs/policy.schema.json").read_bytes()
