/* Recycled memory for code that maps and unmaps a few buffers each time that a file is opened: an
 * enumerator opens files by the million, and page faults would be most of its time.
 *
 * Anonymous maps of up to 2 MiB come from a pool and are zeroed when they are handed out, page by
 * page where they are not zero; everything else goes to the system. For one thread. */
#ifndef LOFT_TESTS_CRASH_MAP_POOL_H
#define LOFT_TESTS_CRASH_MAP_POOL_H

/* Puts the pool between the library and the system, for the rest of the process and its children. */
void map_pool_install(void);

#endif
