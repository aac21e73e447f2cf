# coldstream_room(NAME [SOURCES f.c ...] [ROOMS room ...] [PRIVATE target ...])
#
# A room is a folder src/NAME and the static library of the same name. Its headers are included as
# "NAME/file.h". Each room publishes an include directory that holds nothing but a link to itself, so a
# file can include a room only if CMake says that its own room stands on that one: an include that
# points the wrong way does not compile.
option(COLDSTREAM_BENCH "build the benchmarks" OFF)
option(COLDSTREAM_FUZZ "build the fuzz targets with libFuzzer (clang)" OFF)
set(COLDSTREAM_SANITIZE "" CACHE STRING "address,undefined | thread | fuzzer-no-link,address,undefined")
option(COLDSTREAM_STRICT "warnings are errors" OFF)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # the rooms go into libcoldstream too
set(CMAKE_C_VISIBILITY_PRESET hidden)
add_compile_definitions(_GNU_SOURCE)
# -ffp-contract=off: a fused multiply-add rounds once where two operations round twice, so with it the same
# source would give other bits on another CPU. Same input, same bytes.
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
                    -ffp-contract=off -fno-strict-overflow)
if(COLDSTREAM_STRICT)
  add_compile_options(-Werror)
endif()
if(COLDSTREAM_SANITIZE)
  add_compile_options(-fsanitize=${COLDSTREAM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${COLDSTREAM_SANITIZE})
  add_compile_definitions(COLDSTREAM_SANITIZED)
  if(COLDSTREAM_SANITIZE MATCHES address)
    add_compile_definitions(COLDSTREAM_LEAKS_CHECKED) # LeakSanitizer comes with AddressSanitizer
  endif()
endif()

function(coldstream_room name)
  cmake_parse_arguments(R "" "" "SOURCES;ROOMS;PRIVATE" ${ARGN})
  set(view ${CMAKE_BINARY_DIR}/rooms/${name})
  file(MAKE_DIRECTORY ${view})
  if(NOT EXISTS ${view}/${name})
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/src/${name} ${view}/${name} SYMBOLIC)
  endif()
  add_library(${name} STATIC ${R_SOURCES})
  target_include_directories(${name} PUBLIC ${view})
  target_link_libraries(${name} PUBLIC ${R_ROOMS} PRIVATE ${R_PRIVATE})
endfunction()
