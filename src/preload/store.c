/*
 * preload/store.c - what is long and hardly ever touched. Linked last: see CMakeLists.txt.
 */
#include "heap.h"
#include "report.h"

_Alignas(64) unsigned char lofti_preload_store[LOFTI_PRELOAD_STORE_BYTES];

char lofti_preload_path[LOFTI_PRELOAD_PATH_BYTES];
