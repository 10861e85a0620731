/* The counters are of the whole device, so whatever else writes there counts too: callers repeat
 * and take the least. (/proc/self/io counts the folios a store made dirty, not what is written.) */
#include "region_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { SECTOR_BYTES = 512 }; /* the counters' unit, whatever the device's own is */

static bool read_counters(const char *path, uint64_t *written)
{
    char line[512];
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    const bool got = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    if (!got) {
        return false;
    }
    /* Reads, merged, sectors, ms; writes, merged, sectors: the seventh number. */
    char *at = line;
    unsigned long long sectors = 0;
    for (int i = 0; i < 7; i++) {
        char *end = at;
        sectors = strtoull(at, &end, 10);
        if (end == at) {
            return false;
        }
        at = end;
    }
    *written = (uint64_t)sectors * SECTOR_BYTES;
    return true;
}

bool region_device_find(region_device *device, int fd, char *reason, size_t reason_bytes)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || major(status.st_dev) == 0) {
        (void)snprintf(reason, reason_bytes, "the file system has no block device of its own");
        return false;
    }
    (void)snprintf(device->counters, sizeof device->counters, "/sys/dev/block/%u:%u/stat",
                   major(status.st_dev), minor(status.st_dev));
    uint64_t written;
    if (!read_counters(device->counters, &written)) {
        (void)snprintf(reason, reason_bytes, "cannot read %s", device->counters);
        return false;
    }
    return true;
}

uint64_t region_device_written(const region_device *device)
{
    uint64_t written = 0;
    (void)read_counters(device->counters, &written);
    return written;
}
