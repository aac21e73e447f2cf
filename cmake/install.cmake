# cmake --install build/release [--prefix DIR]; DESTDIR is honoured. Program, libcoldstream with its header and its pkg-config file, man pages, and in
# share/coldstream the topics' schemas and the configurations to begin with.
include(GNUInstallDirs)

# In the .pc file what lies below the prefix is said by way of it, so that a package that is moved whole still works.
function(below_prefix variable folder)
  if(IS_ABSOLUTE "${folder}")
    set(${variable} "${folder}" PARENT_SCOPE)
  else()
    set(${variable} "\${prefix}/${folder}" PARENT_SCOPE)
  endif()
endfunction()
below_prefix(PC_LIBDIR "${CMAKE_INSTALL_LIBDIR}")
below_prefix(PC_INCLUDEDIR "${CMAKE_INSTALL_INCLUDEDIR}")
# the prefix is known when it is installed, not when it is configured: cmake --install --prefix
set(CMAKE_INSTALL_PREFIX_KEPT "${CMAKE_INSTALL_PREFIX}")
set(CMAKE_INSTALL_PREFIX "@CMAKE_INSTALL_PREFIX@")
configure_file(${CMAKE_CURRENT_LIST_DIR}/coldstream.pc.in ${CMAKE_BINARY_DIR}/coldstream.pc.in @ONLY)
set(CMAKE_INSTALL_PREFIX "${CMAKE_INSTALL_PREFIX_KEPT}")
install(CODE "configure_file(\"${CMAKE_BINARY_DIR}/coldstream.pc.in\" \"${CMAKE_BINARY_DIR}/coldstream.pc\" @ONLY)")

install(TARGETS coldstream RUNTIME)
install(TARGETS libcoldstream LIBRARY)
install(FILES ${CMAKE_SOURCE_DIR}/include/coldstream/coldstream.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/coldstream)
install(FILES ${CMAKE_BINARY_DIR}/coldstream.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/schemas ${CMAKE_SOURCE_DIR}/conf DESTINATION ${CMAKE_INSTALL_DATADIR}/coldstream)
install(FILES ${CMAKE_SOURCE_DIR}/docs/examples/follow.c DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES ${CMAKE_SOURCE_DIR}/docs/man/coldstream.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_SOURCE_DIR}/docs/man/libcoldstream.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
