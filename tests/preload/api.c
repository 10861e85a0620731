/* What programs may expect of malloc and its kin, asked of whatever malloc this program runs with. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned passed, failed;

static void check(int holds, const char *what)
{
    if (holds) {
        passed++;
        return;
    }
    failed++;
    (void)printf("FAIL %s\n", what);
}

/* The compiler would remove pairs it can see through. */
static void *hide(void *block)
{
    __asm__ volatile("" : "+r"(block));
    return block;
}

static size_t hidden(size_t number)
{
    __asm__ volatile("" : "+r"(number));
    return number;
}

static int all_bytes(const unsigned char *block, size_t bytes, unsigned char value)
{
    for (size_t i = 0; i < bytes; i++) {
        if (block[i] != value) {
            return 0;
        }
    }
    return 1;
}

static void sizes(void)
{
    for (size_t bytes = 0; bytes < (size_t)8 << 20; bytes = bytes * 3 / 2 + 1) {
        unsigned char *block = hide(malloc(bytes));
        check(block != NULL && (uintptr_t)block % 16 == 0, "malloc aligns by 16");
        check(malloc_usable_size(block) >= bytes, "usable size");
        memset(block, 0x5a, bytes);
        unsigned char *zero = hide(calloc(1, bytes));
        check(all_bytes(zero, bytes, 0), "calloc is zero");
        unsigned char *moved = realloc(block, bytes * 2 + 1);
        check(moved != NULL && all_bytes(moved, bytes, 0x5a), "realloc keeps the content");
        free(moved);
        free(zero);
    }
    void *one = hide(malloc(0));
    void *two = hide(malloc(0));
    check(one != NULL && two != NULL && one != two, "malloc(0) is a block of its own");
    free(one);
    free(two);
    free(NULL);
    check(malloc_usable_size(NULL) == 0, "usable size of NULL");
}

static void alignments(void)
{
    for (size_t alignment = sizeof(void *); alignment <= (size_t)2 << 20; alignment *= 2) {
        void *block = NULL;
        check(posix_memalign(&block, alignment, 100) == 0, "posix_memalign");
        check((uintptr_t)block % alignment == 0, "posix_memalign aligns");
        free(block);
        block = hide(aligned_alloc(alignment, alignment));
        check(block != NULL && (uintptr_t)block % alignment == 0, "aligned_alloc aligns");
        block = realloc(block, alignment * 3);
        check(block != NULL, "realloc of an aligned block");
        free(block);
    }
    void *kept = &passed;
    check(posix_memalign(&kept, hidden(24), 1) == EINVAL && kept == &passed, "24 is no alignment");
    check(posix_memalign(&kept, hidden(2), 1) == EINVAL, "2 is less than a pointer's");
    void *page = hide(valloc(1));
    check((uintptr_t)page % 4096 == 0, "valloc");
    free(page);
    page = hide(memalign(64, 1));
    check((uintptr_t)page % 64 == 0, "memalign");
    free(page);
}

static void refusals(void)
{
    errno = 0;
    check(hide(malloc(hidden(SIZE_MAX / 2 + 1))) == NULL && errno == ENOMEM, "half of everything");
    errno = 0;
    check(hide(calloc(hidden(SIZE_MAX / 2), 3)) == NULL && errno == ENOMEM, "a product too large");
    errno = 0;
    check(hide(reallocarray(NULL, hidden(SIZE_MAX / 2), 3)) == NULL && errno == ENOMEM,
          "reallocarray's product");
    char *block = hide(malloc(10));
    memcpy(block, "remains", 8);
    errno = 0;
    void *moved = realloc(block, hidden(SIZE_MAX - 4096));
    check(moved == NULL && errno == ENOMEM && strcmp(block, "remains") == 0,
          "what cannot grow stays as it was");
    errno = 7;
    free(block);
    block = hide(malloc((size_t)64 << 20));
    free(block);
    check(errno == 7, "free keeps errno");
}

static void others(void)
{
    char *text = strdup("strdup takes its memory from malloc");
    check(malloc_usable_size(text) >= strlen(text) + 1, "strdup");
    free(text);
    text = strndup("abcdef", 3);
    check(strcmp(text, "abc") == 0, "strndup");
    free(text);
    check(asprintf(&text, "%d", 12345) == 5 && strcmp(text, "12345") == 0, "asprintf");
    free(text);
}

static void *thread_run(void *blocks)
{
    void **all = blocks;
    for (int i = 0; i < 1000; i++) {
        free(all[i]);
        all[i] = malloc((size_t)i);
    }
    return NULL;
}

static void threads_and_fork(void)
{
    static void *blocks[1000];
    for (int i = 0; i < 1000; i++) {
        blocks[i] = malloc((size_t)i * 7 % 3000);
    }
    for (int round = 0; round < 20; round++) {
        pthread_t thread;
        check(pthread_create(&thread, NULL, thread_run, blocks) == 0, "a thread");
        (void)pthread_join(thread, NULL);
    }
    const pid_t child = fork();
    if (child == 0) {
        (void)thread_run(blocks);
        for (int i = 0; i < 1000; i++) {
            free(blocks[i]);
        }
        _exit(0);
    }
    int status = -1;
    check(waitpid(child, &status, 0) == child && status == 0, "a child goes on");
    (void)thread_run(blocks);
}

/* Destructors of thread keys run when loft's own may have run before, in any order and again. */
static pthread_key_t late_key;
static void late(void *block)
{
    static __thread int rounds;
    free(block);
    if (++rounds < 4) {
        (void)pthread_setspecific(late_key, malloc(100));
    }
}

static void *late_run(void *unused)
{
    (void)pthread_setspecific(late_key, malloc(100));
    return unused;
}

static void late_frees(void)
{
    check(pthread_key_create(&late_key, late) == 0, "a key");
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        check(pthread_create(&thread, NULL, late_run, NULL) == 0, "a thread");
        (void)pthread_join(thread, NULL);
    }
}

/* Any malloc's figures must see ten thousand blocks come. Kept until the process ends, so that none is reused. */
static void figures(void)
{
    static void *blocks[10000];
    const struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < 10000; i++) {
        blocks[i] = hide(malloc(104));
        check(blocks[i] != NULL, "a small block");
    }
    const struct mallinfo2 after = mallinfo2();
    const size_t grown = after.uordblks - before.uordblks;
    check(grown >= (size_t)10000 * 104 && grown < (size_t)10000 * 160,
          "mallinfo2 sees what is live");
    check(after.arena >= after.uordblks + after.hblkhd, "mallinfo2's arena holds it");
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    check(malloc_info(0, out) == 0, "malloc_info");
    check(malloc_info(1, out) == EINVAL, "malloc_info has no options");
    (void)fclose(out);
    check(strncmp(text, "<malloc version=", 16) == 0, "malloc_info writes its XML");
    check(strstr(text, "</malloc>") != NULL, "malloc_info's XML is whole");
    free(text);
    check(mallopt(M_MXFAST, 64) == 1 && mallopt(M_MXFAST, 1 << 20) == 0, "mallopt's answers");
    check(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1, "mallopt accepts");
    for (int i = 0; i < 10000; i++) {
        free(blocks[i]);
    }
}

static size_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    check(file != NULL && fscanf(file, "%*s %llu", &pages) == 1, "statm");
    (void)fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Blocks of many sizes take address space; memory only by the page: no huge pages for a few of them. */
static void small_programs(void)
{
    static void *blocks[200];
    const size_t before = resident_bytes();
    for (int i = 0; i < 200; i++) {
        blocks[i] = hide(malloc((size_t)(i + 1) * 300));
    }
    check(resident_bytes() - before < (size_t)1536 << 10, "a few blocks of each size take little");
    for (int i = 0; i < 200; i++) {
        free(blocks[i]);
    }
}

int main(void)
{
    small_programs();
    sizes();
    alignments();
    refusals();
    others();
    threads_and_fork();
    late_frees();
    figures();
    (void)printf("%u checks hold, %u do not\n", passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
