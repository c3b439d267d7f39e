# SPDX-License-Identifier: ISC
# What every target is compiled with, and the libraries the daemon stands on.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LIBEVENT REQUIRED IMPORTED_TARGET libevent_core>=2.1)
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis>=0.14)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8>=10.34)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium>=1.0.18)

add_library(ration_flags INTERFACE)
target_compile_definitions(ration_flags INTERFACE _GNU_SOURCE
	RATION_VERSION="${PROJECT_VERSION}")
target_compile_options(ration_flags INTERFACE
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
	-Wwrite-strings -Wformat=2 -Wundef -Wvla -Wcast-qual
	-fno-strict-aliasing -fstack-protector-strong)
if(RATION_WERROR)
	target_compile_options(ration_flags INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
	if(NOT RATION_SANITIZE)
		target_compile_definitions(ration_flags INTERFACE _FORTIFY_SOURCE=2)
	endif()
	target_link_options(ration_flags INTERFACE -Wl,-z,relro -Wl,-z,now)
endif()
if(RATION_SANITIZE)
	target_compile_options(ration_flags INTERFACE -g -fno-omit-frame-pointer
		-fsanitize=${RATION_SANITIZE} -fno-sanitize-recover=all)
	target_link_options(ration_flags INTERFACE -fsanitize=${RATION_SANITIZE})
endif()
