# SPDX-License-Identifier: ISC
# libration (static and shared) and the ration command.

file(GLOB client_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/client/*.c)
foreach(kind STATIC SHARED)
	string(TOLOWER ration_client_${kind} target)
	add_library(${target} ${kind} ${client_sources})
	target_include_directories(${target} PUBLIC
		$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
		$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
	target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:ration_flags>)
	# By plain name once installed: then users need no pkg-config for it.
	target_link_libraries(${target} PRIVATE
		$<BUILD_INTERFACE:PkgConfig::HIREDIS> $<INSTALL_INTERFACE:hiredis>)
	set_target_properties(${target} PROPERTIES OUTPUT_NAME ration
		C_VISIBILITY_PRESET hidden)
endforeach()
set_target_properties(ration_client_shared PROPERTIES
	VERSION ${PROJECT_VERSION} SOVERSION 0)

# All but main.c is a library, which the unit tests link.
file(GLOB cli_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/client/cli/*.c)
list(REMOVE_ITEM cli_sources ${PROJECT_SOURCE_DIR}/client/cli/main.c)
add_library(ration_cli STATIC ${cli_sources})
target_include_directories(ration_cli PUBLIC ${PROJECT_SOURCE_DIR}/client/cli)
target_link_libraries(ration_cli
	PUBLIC ration_client_static room_policy room_limit room_base PkgConfig::JANSSON
	PRIVATE ration_flags Threads::Threads m)
add_executable(ration ${PROJECT_SOURCE_DIR}/client/cli/main.c)
target_link_libraries(ration PRIVATE ration_flags ration_cli)
