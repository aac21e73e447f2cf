# The distribution's packages as imported targets. Their headers are SYSTEM headers: our warnings are not for them.
find_package(PkgConfig REQUIRED)
pkg_check_modules(AVRO REQUIRED IMPORTED_TARGET avro-c)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(BLAS REQUIRED IMPORTED_TARGET openblas lapacke)
pkg_check_modules(CHECK REQUIRED IMPORTED_TARGET check)
find_package(ZLIB REQUIRED)
