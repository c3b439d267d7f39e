# SPDX-License-Identifier: ISC
# What `cmake --install` puts where. Components: daemon (rationd), cli (ration),
# devel (the library, its headers, pkg-config and CMake files).

include(CMakePackageConfigHelpers)

install(TARGETS rationd RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT daemon)
install(TARGETS ration RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT cli)

set_target_properties(ration_client_shared PROPERTIES EXPORT_NAME ration)
set_target_properties(ration_client_static PROPERTIES EXPORT_NAME ration_static)
install(TARGETS ration_client_shared ration_client_static EXPORT ration
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT devel
	ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT devel)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ration COMPONENT devel
	DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

# find_package(ration) gives ration::ration and ration::ration_static.
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ration)
install(EXPORT ration NAMESPACE ration:: FILE ration-config.cmake
	DESTINATION ${package_dir} COMPONENT devel)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ration-config-version.cmake
	COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ration-config-version.cmake
	DESTINATION ${package_dir} COMPONENT devel)

# The paths in ration.pc are relative to where it lies, so that an installation under
# another prefix (cmake --install --prefix, DESTDIR) needs no edit.
file(RELATIVE_PATH RATION_PC_PREFIX
	${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
foreach(dir LIBDIR INCLUDEDIR)
	if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
		set(RATION_PC_${dir} ${CMAKE_INSTALL_${dir}})
	else()
		set(RATION_PC_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
	endif()
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/cmake/ration.pc.in
	${PROJECT_BINARY_DIR}/ration.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/ration.pc COMPONENT devel
	DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(man ${PROJECT_SOURCE_DIR}/docs/man)
set(completion ${PROJECT_SOURCE_DIR}/completion)
set(completion_dir ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${man}/rationd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8
	COMPONENT daemon)
install(FILES ${man}/ration.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT cli)
install(FILES ${man}/libration.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3
	COMPONENT devel)
install(FILES ${completion}/rationd DESTINATION ${completion_dir} COMPONENT daemon)
install(FILES ${completion}/ration DESTINATION ${completion_dir} COMPONENT cli)
# Editors check policies by it.
install(FILES ${PROJECT_SOURCE_DIR}/docs/policy.schema.json
	DESTINATION ${CMAKE_INSTALL_DATADIR}/ration COMPONENT cli)
