# Windows on x86-64, built with Debian's mingw-w64 (gcc-mingw-w64-x86-64-posix: the variant with pthreads)
# and run by Wine without a display; script/bootstrap --for=windows installs them.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)

set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Programs and the library need no libraries of the compiler beside them.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_SHARED_LINKER_FLAGS_INIT -static)

find_program(LOFT_WINE NAMES wine wine64)
mark_as_advanced(LOFT_WINE)
if(LOFT_WINE)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${LOFT_WINE})
endif()
