/*
 * Threads that allocate, exchange and free, amid forks, libraries that come and go, and signals, with whatever malloc
 * this program runs with. Every block is filled with its own pattern, looked at before it goes.
 *
 *   stress THREADS SECONDS SEED LIBRARY
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 4096, OWN = 512, THREADS_MAX = 256, LIFE_STEPS = 2000 };

typedef struct block {
    uint32_t bytes, mark; /* then the pattern, to the end */
} block;

static _Atomic(block *) slots[SLOTS];
static atomic_bool stop;
static _Atomic uint64_t done_count, fork_count, load_count;
static volatile sig_atomic_t alarms;

static uint64_t next(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static void die(const char *what)
{
    (void)fprintf(stderr, "stress: %s\n", what);
    abort();
}

static block *fill(void *memory, uint32_t bytes, uint32_t mark)
{
    block *made = memory;
    if (made == NULL) {
        die("no memory");
    }
    *made = (block){bytes, mark};
    memset(made + 1, (int)(mark & 0xff), bytes - sizeof *made);
    return made;
}

static void look(const block *made)
{
    const unsigned char *at = (const unsigned char *)(made + 1);
    const unsigned char *end = (const unsigned char *)made + made->bytes;
    for (; at < end; at++) {
        if (*at != (made->mark & 0xff)) {
            die("a block has another's content");
        }
    }
}

static uint32_t any_bytes(uint64_t *state)
{
    const uint64_t kind = next(state) % 100;
    const uint64_t limit = kind < 90 ? 1024 : kind < 99 ? 65536 : 3 << 20;
    return (uint32_t)(sizeof(block) + next(state) % limit);
}

static block *make(uint64_t *state)
{
    const uint32_t bytes = any_bytes(state);
    void *memory = NULL;
    switch (next(state) % 4) {
    case 0: memory = calloc(1, bytes); break;
    case 1:
        if (posix_memalign(&memory, (size_t)16 << (next(state) % 9), bytes) != 0) {
            die("posix_memalign");
        }
        break;
    default: memory = malloc(bytes);
    }
    return fill(memory, bytes, (uint32_t)next(state));
}

static block *remake(block *made, uint64_t *state)
{
    const uint32_t bytes = any_bytes(state);
    const uint32_t kept = made->bytes < bytes ? made->bytes : bytes;
    block *moved = realloc(made, bytes);
    if (moved == NULL) {
        die("no memory");
    }
    moved->bytes = kept;
    look(moved);
    return fill(moved, bytes, moved->mark);
}

static void drop(block *made)
{
    if (made != NULL) {
        look(made);
        free(made);
    }
}

static void step(block **own, uint64_t *state)
{
    block **mine = &own[next(state) % OWN];
    if (*mine != NULL && next(state) % 4 == 0) {
        *mine = remake(*mine, state);
    } else if (next(state) % 2 == 0) {
        *mine = atomic_exchange(&slots[next(state) % SLOTS], *mine);
    } else {
        drop(*mine);
        *mine = make(state);
    }
}

static void fork_once(block **own, uint64_t *state)
{
    const pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < LIFE_STEPS / 4; i++) {
            step(own, state);
        }
        _exit(0);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (child < 0 || status != 0) {
        die("a child failed");
    }
    atomic_fetch_add(&fork_count, 1);
}

static void load_once(const char *library)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL || dlclose(handle) != 0) {
        die("dlopen");
    }
    atomic_fetch_add(&load_count, 1);
}

typedef struct worker {
    pthread_t thread;
    uint64_t state;
    const char *library;
} worker;

/* A short life: threads end and begin all the time. */
static void *work(void *given)
{
    worker *own = given;
    block *blocks[OWN] = {NULL};
    for (int i = 0; i < LIFE_STEPS && !atomic_load(&stop); i++) {
        step(blocks, &own->state);
    }
    if (next(&own->state) % 8 == 0) {
        fork_once(blocks, &own->state);
    }
    if (next(&own->state) % 8 == 0) {
        load_once(own->library);
    }
    for (int i = 0; i < OWN; i++) {
        drop(blocks[i]);
    }
    atomic_fetch_add(&done_count, 1);
    return NULL;
}

static void on_alarm(int number)
{
    (void)number;
    alarms = alarms + 1;
}

int main(int argc, char **argv)
{
    static worker workers[THREADS_MAX];
    if (argc != 5) {
        return 2;
    }
    const long count = strtol(argv[1], NULL, 10);
    const time_t end = time(NULL) + strtol(argv[2], NULL, 10);
    uint64_t seed = strtoull(argv[3], NULL, 10);
    if (count < 1 || count > THREADS_MAX) {
        return 2;
    }
    const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    const struct itimerval every = {{0, 1000}, {0, 1000}};
    (void)sigaction(SIGALRM, &action, NULL);
    (void)setitimer(ITIMER_REAL, &every, NULL);
    do {
        for (long i = 0; i < count; i++) {
            workers[i].state = next(&seed);
            workers[i].library = argv[4];
            if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
                die("pthread_create");
            }
        }
        for (long i = 0; i < count; i++) {
            (void)pthread_join(workers[i].thread, NULL);
        }
    } while (time(NULL) < end);
    for (int i = 0; i < SLOTS; i++) {
        drop(atomic_load(&slots[i]));
    }
    (void)printf("%llu threads, %llu forks, %llu libraries, %s signals\n",
                 (unsigned long long)done_count, (unsigned long long)fork_count,
                 (unsigned long long)load_count, alarms > 0 ? "many" : "no");
    return 0;
}
