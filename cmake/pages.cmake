# coldstream_page(NAME FILE...): ${NAME}_page.c in the current binary folder has the page as `const char NAME_page[]`: src/web/NAME.html with the
# named files of src/web, which it refers to, and Debian's Chart.js as one document, also left as NAME.html in the build folder.
function(coldstream_page name)
  set(web ${CMAKE_SOURCE_DIR}/src/web)
  list(TRANSFORM ARGN PREPEND ${web}/ OUTPUT_VARIABLE parts)
  set(code ${CMAKE_CURRENT_BINARY_DIR}/${name}_page.c)
  set(page ${CMAKE_BINARY_DIR}/${name}.html)
  add_custom_command(
    OUTPUT ${code} ${page}
    COMMAND python3 ${CMAKE_SOURCE_DIR}/scripts/page.py ${web}/${name}.html ${CHART_JS} ${page}
    COMMAND ${CMAKE_COMMAND} -D OUT=${code} -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake -- ${name}_page=${page}
    DEPENDS ${web}/${name}.html ${parts} ${CHART_JS} ${CMAKE_SOURCE_DIR}/scripts/page.py ${CMAKE_SOURCE_DIR}/cmake/embed.cmake)
endfunction()
