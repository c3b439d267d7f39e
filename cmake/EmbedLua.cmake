# SPDX-License-Identifier: ISC
# cmake -DOUT=file.c "-DIN=a.lua;b.lua" -P EmbedLua.cmake
# Writes one array per script, lua_NAME[], ended by a zero byte.

set(text "/* Generated from lua/; do not edit. */\n#include \"redis/script.h\"\n\n")
foreach(file IN LISTS IN)
	get_filename_component(name ${file} NAME_WE)
	file(READ ${file} hex HEX)
	string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
	string(APPEND text "const char lua_${name}[] = {${bytes}0x00};\n")
endforeach()
file(WRITE ${OUT} "${text}")
