/* What this process holds, and children whose end is looked at; declared in test.h.
 *
 * The counts read /proc with plain system calls into buffers on the stack: a count that used the
 * heap could change what it counts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

unsigned loft_test_entries(const char *folder)
{
    DIR *entries = opendir(folder);
    if (entries == NULL)
        LOFT_FAIL("cannot read the folder %s", folder);
    unsigned count = 0;
    const struct dirent *entry;
    while ((entry = readdir(entries)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(entries);
    return count;
}

unsigned loft_test_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        LOFT_FAIL("getrlimit failed");
    const int end = limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
    unsigned count = 0;
    for (int i = 0; i < end; i++)
        count += fcntl(i, F_GETFD) != -1;
    errno = 0;
    return count;
}

/* One line of /proc/self/maps, as far as it is asked for here. */
typedef struct mapping {
    uintptr_t begin, end;
    uintmax_t inode;
} mapping;
typedef void mapping_fn(void *context, const mapping *one);

static void each_mapping(mapping_fn *fn, void *context)
{
    const int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    char line[160];
    size_t length = 0;
    char block[4096];
    ssize_t got;
    while ((got = read(file, block, sizeof block)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            if (block[i] != '\n') {
                if (length < sizeof line - 1)
                    line[length++] = block[i];
                continue;
            }
            line[length] = '\0';
            length = 0;
            mapping one;
            if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*4s %*x %*x:%*x %" SCNuMAX, &one.begin,
                       &one.end, &one.inode) == 3)
                fn(context, &one);
        }
    }
    close(file);
}

/* Valgrind comes into a process by preloading, and keeps the variable readable. */
int loft_test_on_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

/* Every kernel refuses advice that it does not know. */
int loft_test_on_qemu(void)
{
    const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return 0;
    const int accepts = madvise(page, bytes, 0x7fffffff) == 0;
    munmap(page, bytes);
    return accepts;
}

void loft_test_needs_posix(const char *what) { (void)what; }

intptr_t loft_test_handle(int descriptor) { return descriptor; }

const char *loft_test_missing_text(void) { return strerror(ENOENT); }

int loft_test_faults(void (*fn)(void *arg), void *arg)
{
    loft_test_child child;
    loft_test_run_child(fn, arg, &child);
    return child.signal != 0 || child.exit_code != 0; /* sanitizers exit */
}

static void count_one(void *context, const mapping *one)
{
    (void)one;
    ++*(unsigned *)context;
}

unsigned loft_test_mappings(void)
{
    unsigned count = 0;
    if (!loft_test_on_valgrind())
        each_mapping(count_one, &count);
    return count;
}

static void add_bytes(void *context, const mapping *one)
{
    if (one->begin >= UINT64_C(1) << 32)
        *(uint64_t *)context += one->end - one->begin;
}

uint64_t loft_test_mapped_bytes(void)
{
    uint64_t bytes = 0;
    if (!loft_test_on_valgrind())
        each_mapping(add_bytes, &bytes);
    return bytes;
}

struct file_count {
    uintmax_t inode;
    unsigned count;
};

/* By inode alone: overlayfs and btrfs show other device numbers in maps than stat does. */
static void count_file(void *context, const mapping *one)
{
    struct file_count *file = context;
    file->count += one->inode == file->inode;
}

unsigned loft_test_mappings_of(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        LOFT_FAIL("cannot stat %s", path);
    struct file_count file = {.inode = status.st_ino};
    each_mapping(count_file, &file);
    return file.count;
}

static void read_all(int from, loft_test_child *out)
{
    size_t length = 0;
    char rest[512];
    for (;;) {
        const size_t room = sizeof out->output - 1 - length;
        const ssize_t got =
            room > 0 ? read(from, out->output + length, room) : read(from, rest, sizeof rest);
        if (got > 0 && room > 0)
            length += (size_t)got;
        else if (got == 0 || (got < 0 && errno != EINTR))
            break;
    }
    out->output[length] = '\0';
}

/* Default handlers: sanitizers and Criterion turn signals into reports and exit codes of their
 * own, and the caller asked how the process really ends. */
_Noreturn static void be_child(void (*fn)(void *), void *arg, int error_output)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTERM, SIGTRAP};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        signal(deadly[i], SIG_DFL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    dup2(error_output, STDERR_FILENO);
    close(error_output);
    fn(arg);
    loft_test_exit(0);
}

void loft_test_run_child(void (*fn)(void *), void *arg, loft_test_child *out)
{
    int ends[2];
    LOFT_CHECK_SYS(pipe2(ends, O_CLOEXEC));
    fflush(NULL);
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        close(ends[0]);
        be_child(fn, arg, ends[1]);
    }
    close(ends[1]);
    read_all(ends[0], out);
    close(ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            LOFT_FAIL("waitpid failed");
    out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    out->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void loft_test_death(loft_test_place place, const char *what, void (*fn)(void *arg), void *arg,
                     int signal, const char *part)
{
    loft_test_child child;
    loft_test_run_child(fn, arg, &child);
    if (child.signal != signal)
        loft_test_fail(place, "%s ended with signal %d, exit code %d, not with signal %d (%s): %s",
                       what, child.signal, child.exit_code, signal, strsignal(signal),
                       child.output);
    if (part != NULL && strstr(child.output, part) == NULL)
        loft_test_fail(place, "%s died without saying \"%s\" but \"%s\"", what, part, child.output);
}
