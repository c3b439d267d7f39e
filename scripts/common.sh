# SPDX-License-Identifier: ISC
# Sourced by the scripts beside it; each sets `root` first.
# shellcheck shell=bash

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# The newest clang with a fuzzer runtime, or nothing.
find_clang() {
	local one dir
	for one in clang $(ls /usr/bin/clang-[0-9]* 2>/dev/null | grep -E 'clang-[0-9]+$' | sort -rV); do
		one=$(command -v "$one" 2>/dev/null) || continue
		dir=$("$one" -print-runtime-dir 2>/dev/null) || continue
		if compgen -G "$dir/libclang_rt.fuzzer*.a" >/dev/null; then
			echo "$one"
			return 0
		fi
	done
	return 1
}

# configure FOLDER ARG...: a build folder of this tree. One that another tree left
# there (a copied checkout) is made anew.
configure() {
	local folder=$1
	shift
	local cache=$folder/CMakeCache.txt
	local args=(-S "$root" -B "$folder" -G Ninja)
	if [[ -f $cache ]] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then
		rm -rf "$folder"
	fi
	if command -v ccache >/dev/null; then
		args+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
	fi
	cmake "${args[@]}" "$@"
}

# Where clang-format is, the release that the tree is laid out with before others, which
# may break lines elsewhere.
clang_format_release=14
find_clang_format() {
	local one
	for one in "clang-format-$clang_format_release" clang-format \
		"/usr/lib/llvm-$clang_format_release/bin/clang-format"; do
		if command -v "$one"; then
			return 0
		fi
	done
	return 1
}

# quietly LOG COMMAND...: shows the log only when the command fails.
quietly() {
	local log=$1
	shift
	mkdir -p "$(dirname "$log")"
	if ! "$@" >"$log" 2>&1 </dev/null; then
		cat "$log" >&2
		return 1
	fi
}

jobs_max() {
	local n
	n=$(nproc 2>/dev/null || echo 2)
	echo $((n < 2 ? 2 : n))
}
