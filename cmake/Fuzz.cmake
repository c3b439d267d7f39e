# SPDX-License-Identifier: ISC
# One libFuzzer program per tests/fuzz/fuzz_*.c, on the pure rooms.

if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
	message(FATAL_ERROR "RATION_FUZZ needs clang: cmake --preset fuzz")
endif()
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_*.c)
foreach(source IN LISTS fuzz_sources)
	get_filename_component(name ${source} NAME_WE)
	add_executable(${name} ${source})
	target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
	target_link_options(${name} PRIVATE -fsanitize=fuzzer)
	target_link_libraries(${name} PRIVATE ration_flags ration_pure)
endforeach()
