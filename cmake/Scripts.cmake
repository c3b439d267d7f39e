# SPDX-License-Identifier: ISC
# The Lua scripts become byte arrays: rationd needs no file at run time.

file(GLOB RATION_LUA CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/lua/*.lua)
file(GLOB RATION_LUA_PARTS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/lua/shared/*.lua)
set(RATION_SCRIPTS_C ${PROJECT_BINARY_DIR}/generated/scripts_embedded.c)
add_custom_command(OUTPUT ${RATION_SCRIPTS_C}
	COMMAND ${CMAKE_COMMAND} -DOUT=${RATION_SCRIPTS_C} "-DIN=${RATION_LUA}"
		-P ${PROJECT_SOURCE_DIR}/cmake/EmbedLua.cmake
	DEPENDS ${RATION_LUA} ${RATION_LUA_PARTS}
		${PROJECT_SOURCE_DIR}/cmake/EmbedLua.cmake
	COMMENT "Embedding lua/" VERBATIM)
