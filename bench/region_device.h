/* Bytes that a file's device was asked to write, by the kernel's counters for it. */
#ifndef LOFT_BENCH_REGION_DEVICE_H
#define LOFT_BENCH_REGION_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct region_device {
    char counters[96]; /* /sys/dev/block/MAJOR:MINOR/stat */
} region_device;

/* Finds the device of an open file. On failure `reason` says why not. */
bool region_device_find(region_device *device, int fd, char *reason, size_t reason_bytes);
/* Bytes written since the system started, by everybody. */
uint64_t region_device_written(const region_device *device);

#endif
