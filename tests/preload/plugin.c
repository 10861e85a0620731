/* A library that allocates when it is loaded and frees when it goes. */
#include <stdlib.h>
#include <string.h>

static void *kept[64];

static __attribute__((constructor)) void plugin_begin(void)
{
    for (int i = 0; i < 64; i++) {
        kept[i] = malloc((size_t)i * 50 + 1);
        memset(kept[i], i, (size_t)i * 50 + 1);
    }
}

static __attribute__((destructor)) void plugin_end(void)
{
    for (int i = 0; i < 64; i++) {
        free(kept[i]);
    }
}
