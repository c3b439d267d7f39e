# SPDX-License-Identifier: ISC
# One program per tests/unit/test_*.c; it links everything but main.c.

pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
file(GLOB unit_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/unit/test_*.c)
foreach(source IN LISTS unit_sources)
	get_filename_component(name ${source} NAME_WE)
	# test_ROOM_noun.c links only its room and what that room stands on.
	string(REGEX REPLACE "^test_([a-z]+)_.*$" "room_\\1" room ${name})
	if(name MATCHES "^test_server_")
		set(room ration_daemon)
	elseif(name MATCHES "^test_client_")
		set(room ration_client_static)
	elseif(name MATCHES "^test_cli_")
		set(room ration_cli)
	endif()
	add_executable(${name} ${source})
	target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/unit)
	target_compile_definitions(${name} PRIVATE
		TEST_SOURCE_DIR="${PROJECT_SOURCE_DIR}/tests")
	target_link_libraries(${name} PRIVATE ration_flags ${room} PkgConfig::CMOCKA)
	add_test(NAME ${name} COMMAND ${name})
endforeach()

# Those that wait for seconds begin first, beside all the others.
foreach(name test_redis_pulse test_redis_sentinels test_net_watch test_redis_node)
	if(TEST ${name})
		set_tests_properties(${name} PROPERTIES COST 10)
	endif()
endforeach()

# It counts the allocations of the steady state.
if(TARGET test_check_check)
	target_link_options(test_check_check PRIVATE
		-Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc)
endif()

# It counts what is sent.
if(TARGET test_server_steady)
	target_link_options(test_server_steady PRIVATE -Wl,--wrap=send)
endif()

# A name server that answers when the test wants it to.
if(TARGET test_net_conn_connect)
	target_link_options(test_net_conn_connect PRIVATE -Wl,--wrap=getaddrinfo)
endif()

# The vectors, against limit/, the embedded store and Redis. The shim is loaded into the
# plain redis-server: no sanitizer, no warnings that only concern our own code.
add_library(clock_shim MODULE ${PROJECT_SOURCE_DIR}/tests/vectors/clock_shim.c)
file(GLOB vector_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/vectors/backend_*.c)
foreach(name run_vectors run_property run_crowds)
	add_executable(${name} ${PROJECT_SOURCE_DIR}/tests/vectors/${name}.c
		${PROJECT_SOURCE_DIR}/tests/vectors/asker.c
		${PROJECT_SOURCE_DIR}/tests/vectors/audit.c
		${PROJECT_SOURCE_DIR}/tests/vectors/case.c ${vector_sources})
	target_compile_definitions(${name} PRIVATE
		CLOCK_SHIM="$<TARGET_FILE:clock_shim>")
	target_link_libraries(${name} PRIVATE ration_flags room_check room_redis
		PkgConfig::JANSSON PkgConfig::HIREDIS)
	add_dependencies(${name} clock_shim)
endforeach()
target_sources(run_property PRIVATE
	${PROJECT_SOURCE_DIR}/tests/vectors/property_lanes.c
	${PROJECT_SOURCE_DIR}/tests/vectors/property_policy.c
	${PROJECT_SOURCE_DIR}/tests/vectors/property_tell.c
	${PROJECT_SOURCE_DIR}/tests/vectors/property_time.c)
target_sources(run_crowds PRIVATE
	${PROJECT_SOURCE_DIR}/tests/vectors/property_policy.c
	${PROJECT_SOURCE_DIR}/tests/vectors/property_time.c)
file(GLOB vector_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/vectors/*.json)
add_test(NAME vectors COMMAND run_vectors --backend all ${vector_files})
# The same answers from all backends, whatever they are asked; scripts/test runs more.
add_test(NAME property COMMAND run_property 1)
add_test(NAME crowds COMMAND run_crowds 1)

# The steady load of the system tests (tests/system/load.py starts it).
file(GLOB pacer_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/pacer/*.c)
add_executable(pacer ${pacer_sources})
target_link_libraries(pacer PRIVATE ration_flags)
