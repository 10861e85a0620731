# The tests that run on Windows (Wine): the same bodies as elsewhere, of what is the same there, and what only
# Windows has. A test that needs what Windows has not (fork, FIFOs, resource limits) skips itself and says so.
loft_tests("unit"
  base/arith_test.c
  format/delta_test.c
  format/frame_test.c
  format/super_test.c
  os/windows_test.c
  region/adopt_test.c
  region/fault_test.c
  region/file_test.c
  region/flags_test.c
  region/memory_test.c
  region/range_test.c
  region/resize_test.c
  region/rows_test.c
  region/windows_test.c
  arena/over_test.c)

loft_tests("unit;thread"
  base/misuse_test.c
  base/status_test.c
  os/barrier_test.c)

loft_tests("random"
  region/many_test.c)

loft_tests("random;thread"
  region/thread_test.c)
