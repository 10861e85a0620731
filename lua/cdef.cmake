# Cuts LuaJIT's declarations from the public headers: everything that loft/loft.h declares, after the preprocessor, without
# the inline functions' bodies and without what the system's headers declare, which LuaJIT knows.
#
#   cmake -DCC=COMPILER -DINCLUDE=FOLDER -DVERSION=TEXT -DOUT=FILE [-DCHECK=1] -P cdef.cmake
#
# With CHECK nothing is written: it fails if FILE is not what would be.

get_filename_component(folder ${OUT} DIRECTORY)
set(empty ${folder}/cdef_system)
foreach(header IN ITEMS stddef.h stdint.h stdbool.h)
  file(WRITE ${empty}/${header} "")
endforeach()
execute_process(
  COMMAND ${CC} -E -P -nostdinc -DLOFT_NO_INLINE -I ${empty} -I ${INCLUDE} -x c ${INCLUDE}/loft/loft.h
  OUTPUT_VARIABLE text ERROR_VARIABLE problem RESULT_VARIABLE status)
file(REMOVE_RECURSE ${empty})
if(NOT status EQUAL 0)
  message(FATAL_ERROR "The headers cannot be preprocessed: ${problem}")
endif()

# Pragmas are not for LuaJIT; attributes are about C's callers.
string(REGEX REPLACE "(^|\n)#[^\n]*" "" text "${text}")
string(REGEX REPLACE "__attribute__ *\\(\\([^()]*(\\([^()]*\\))?[^()]*\\)\\) *" "" text "${text}")
string(REGEX REPLACE "\n\n+" "\n" text "${text}")
string(PREPEND text "-- Cut from the public headers when loft was built (lua/cdef.cmake). Not to be edited.\n"
       "return { version = \"${VERSION}\", text = [==[\n")
string(APPEND text "]==] }\n")

if(CHECK)
  file(READ ${OUT} there)
  if(NOT there STREQUAL text)
    message(FATAL_ERROR "${OUT} is not what the headers say. Build the target loft_lua.")
  endif()
else()
  file(WRITE ${OUT} "${text}")
endif()
