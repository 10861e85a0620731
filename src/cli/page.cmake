# Makes the map's page: map.html with its style and scripts put in, as an array of bytes, so that the
# command is one file. Run by src/cli/CMakeLists.txt: cmake -DFROM=FOLDER -DTO=FILE -P page.cmake
#
# The template names what goes where: <!--STYLE-->, <!--SCRIPT--> and, for the data that `loft map`
# puts in itself, <!--DATA-->. Everything is handled as hexadecimal digits: semicolons and brackets
# mean things to CMake.
file(READ ${FROM}/map.html page HEX)
file(READ ${FROM}/map.css style HEX)
set(script "")
foreach(part IN ITEMS data draw view)
  file(READ ${FROM}/map_${part}.js text HEX)
  string(APPEND script ${text})
endforeach()

function(put marker text)
  string(HEX "<!--${marker}-->" mark)
  string(FIND "${page}" "${mark}" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "map.html has no ${marker}")
  endif()
  string(REPLACE "${mark}" "${text}" page "${page}")
  set(page "${page}" PARENT_SCOPE)
  math(EXPR place "${place} / 2")
  set(place ${place} PARENT_SCOPE)
endfunction()

put(STYLE "${style}")
put(SCRIPT "${script}")
put(DATA "")
string(LENGTH "${page}" digits)
math(EXPR bytes "${digits} / 2")
string(REGEX REPLACE "(..)" "0x\\1," page "${page}")
# Sixteen bytes a line.
string(REGEX REPLACE "(................................................................................)"
       "\\1\n" page "${page}")
file(WRITE ${TO} "/* Made from map.html, map.css and the scripts by page.cmake. */
#include \"map.h\"

const size_t lofti_picture_page_bytes = ${bytes};
const size_t lofti_picture_page_data = ${place};
const unsigned char lofti_picture_page[] = {
${page}
};
")
