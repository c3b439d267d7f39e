# SPDX-License-Identifier: ISC
# cmake -DOUT=file.c "-DIN=a.lua;b.lua" -P EmbedLua.cmake
# Writes one array per script, lua_NAME[], ended by a zero byte, and its SHA-1 in hex,
# lua_NAME_sha[]. A line "-- include FILE"
# of a script stands for that file, which is named from the script's folder.

set(text "/* Generated from lua/; do not edit. */\n#include \"redis/script.h\"\n\n")
foreach(file IN LISTS IN)
	get_filename_component(name ${file} NAME_WE)
	get_filename_component(folder ${file} DIRECTORY)
	file(READ ${file} script)
	while("${script}" MATCHES "\n-- include ([a-z_/.]+)\n")
		set(line "${CMAKE_MATCH_0}")
		file(READ ${folder}/${CMAKE_MATCH_1} part)
		string(REPLACE "${line}" "\n${part}" script "${script}")
	endwhile()
	string(HEX "${script}" hex)
	string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
	string(SHA1 sha "${script}")
	string(APPEND text "const char lua_${name}[] = {${bytes}0x00};\n")
	string(APPEND text "const char lua_${name}_sha[] = \"${sha}\";\n")
endforeach()
file(WRITE ${OUT} "${text}")
