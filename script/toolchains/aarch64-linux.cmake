# Linux on aarch64, built with Debian's cross compiler (gcc-aarch64-linux-gnu, libc6-dev-arm64-cross)
# and run by its emulator (qemu-user); script/bootstrap --for=aarch64 installs them. Nothing of it
# rests on binfmt: programs are started through the emulator by name.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

set(aarch64_root /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH ${aarch64_root})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

find_program(LOFT_QEMU_AARCH64 NAMES qemu-aarch64 qemu-aarch64-static)
mark_as_advanced(LOFT_QEMU_AARCH64)
if(LOFT_QEMU_AARCH64)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${LOFT_QEMU_AARCH64} -L ${aarch64_root})
  # With a small address space for what opens arenas: qemu 7.2 keeps a record of every page that is reserved, and takes
  # a minute and 6 GB for the 1 TiB of an arena in 47 bits; in 36 bits an arena reserves 2 GiB, in 39, which many such
  # systems have, 16. Not for the rest: so told, it crashes when a mapping is made smaller, and its program cannot read
  # its own pagemap.
  set(LOFT_EMULATOR_ARENAS ${LOFT_QEMU_AARCH64} -R 0x1000000000 -L ${aarch64_root})
  set(LOFT_EMULATOR_LARGE_ARENAS ${LOFT_QEMU_AARCH64} -R 0x8000000000 -L ${aarch64_root})
endif()
