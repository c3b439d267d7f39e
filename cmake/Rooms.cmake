# SPDX-License-Identifier: ISC
# One static library per room. Its dependencies are the row of server/README.md.

function(ration_room name)
	file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/server/${name}/*.c)
	add_library(room_${name} STATIC ${sources})
	target_include_directories(room_${name} PUBLIC ${PROJECT_SOURCE_DIR}/server)
	target_link_libraries(room_${name} PRIVATE ration_flags PUBLIC ${ARGN})
endfunction()

ration_room(base PkgConfig::SODIUM)
ration_room(limit room_base)
ration_room(policy room_limit room_base PkgConfig::JANSSON
	PkgConfig::PCRE2)
ration_room(store room_limit room_base Threads::Threads)
ration_room(check room_policy room_store room_limit room_base)
ration_room(wire room_check room_limit room_base PkgConfig::JANSSON)
ration_room(net room_base PkgConfig::LIBEVENT PkgConfig::OPENSSL Threads::Threads)
ration_room(redis room_store room_net room_limit room_base PkgConfig::HIREDIS)
target_sources(room_redis PRIVATE ${RATION_SCRIPTS_C})
ration_room(front room_wire room_check room_net room_limit room_base)
ration_room(ops room_redis room_check room_policy room_store room_wire room_net
	room_limit room_base PkgConfig::JANSSON)

# The rooms that touch no socket, file or clock, for fuzzers and unit tests.
add_library(ration_pure STATIC
	$<TARGET_OBJECTS:room_base> $<TARGET_OBJECTS:room_limit>
	$<TARGET_OBJECTS:room_policy> $<TARGET_OBJECTS:room_wire>)
set_target_properties(ration_pure PROPERTIES LINKER_LANGUAGE C)
target_include_directories(ration_pure PUBLIC ${PROJECT_SOURCE_DIR}/server)
target_link_libraries(ration_pure PUBLIC PkgConfig::JANSSON PkgConfig::PCRE2
	PkgConfig::SODIUM)

# Everything but main.c.
file(GLOB daemon_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/server/*.c)
list(REMOVE_ITEM daemon_sources ${PROJECT_SOURCE_DIR}/server/main.c)
add_library(ration_daemon STATIC ${daemon_sources})
target_link_libraries(ration_daemon PRIVATE ration_flags
	PUBLIC room_ops room_front room_redis room_net room_wire room_check room_store
	room_policy room_limit room_base)

add_executable(rationd ${PROJECT_SOURCE_DIR}/server/main.c)
target_link_libraries(rationd PRIVATE ration_flags ration_daemon)
