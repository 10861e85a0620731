/* The forking driver: runs every test in a child of its own, on any POSIX system and under any
 * sanitizer, and needs nothing but fork.
 *
 * The parent has one thread and no state that a test could spoil. Per running test it keeps a
 * job: the child, its process group (so that what a test leaves running ends with it), a
 * nameless file with its output, and a deadline. Output is shown for tests that failed.
 *
 *     PROGRAM [--list] [--filter GLOB]... [--jobs N] [--timeout SECONDS] [--verbose]
 *
 * Exit code: 0 all passed, 1 something failed, 2 wrong arguments, 77 all were skipped. */
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "support/folder.h"
#include "support/runner.h"

enum { JOBS_MAX = 64, FILTERS_MAX = 16, REASON_BYTES = 256 };

/* What a child tells its parent beside its exit code. */
struct note {
    char reason[REASON_BYTES]; /* why it skips */
};

typedef struct job {
    const loft_test *test; /* NULL: this place is free */
    pid_t child;
    FILE *output;
    double begin, deadline; /* seconds of the monotonic clock */
    int timed_out;
    struct note *note; /* shared with the child */
} job;

static struct {
    int list, verbose;
    unsigned jobs, timeout_seconds;
    unsigned filters;
    const char *filter[FILTERS_MAX];
} options = {.jobs = 1};

static struct {
    unsigned passed, failed, skipped;
} counts;

static loft_test *first, **last = &first;
static job jobs[JOBS_MAX];
static struct note *own_note; /* in a child: its job's */

void loft_test_register(loft_test *test)
{
    *last = test;
    last = &test->next;
}

void loft_test_runner_skip(const loft_test *test, const char *reason)
{
    (void)test;
    snprintf(own_note->reason, REASON_BYTES, "%s", reason);
    loft_test_exit(LOFT_TEST_EXIT_SKIPPED);
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static int is_wanted(const loft_test *test)
{
    char name[256];
    snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
    for (unsigned i = 0; i < options.filters; i++)
        if (fnmatch(options.filter[i], name, 0) == 0)
            return 1;
    return options.filters == 0;
}

_Noreturn static void be_child(job *own)
{
    setpgid(0, 0);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(fileno(own->output), STDOUT_FILENO);
    dup2(fileno(own->output), STDERR_FILENO);
    fclose(own->output);
    setvbuf(stdout, NULL, _IONBF, 0); /* a crash must not lose what was printed before it */
    own_note = own->note;
    loft_test_run(own->test);
    exit(0); /* not _exit: leak checkers look at the process here */
}

static void job_start(job *own, const loft_test *test)
{
    own->test = test;
    own->timed_out = 0;
    *own->note->reason = '\0';
    own->output = tmpfile();
    if (own->output == NULL)
        die("tmpfile");
    fflush(stdout);
    own->begin = now_seconds();
    own->deadline = own->begin + options.timeout_seconds;
    own->child = fork();
    if (own->child < 0)
        die("fork");
    if (own->child == 0)
        be_child(own);
    setpgid(own->child, own->child); /* whoever is first; the other call changes nothing */
}

static void print_output(FILE *output)
{
    char block[4096];
    size_t got;
    rewind(output);
    while ((got = fread(block, 1, sizeof block, output)) > 0)
        fwrite(block, 1, got, stdout);
}

static void job_end(job *own, int status)
{
    const loft_test *test = own->test;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    const double seconds = now_seconds() - own->begin;
    int show = options.verbose;
    if (code == 0 && !own->timed_out) {
        counts.passed++;
        printf("pass %s/%s (%.2f s)\n", test->suite, test->name, seconds);
    } else if (code == LOFT_TEST_EXIT_SKIPPED && *own->note->reason != '\0') {
        counts.skipped++;
        printf("skip %s/%s: %s\n", test->suite, test->name, own->note->reason);
    } else {
        counts.failed++;
        show = 1;
        printf("FAIL %s/%s (%.2f s): ", test->suite, test->name, seconds);
        if (own->timed_out)
            printf("timed out after %u s\n", options.timeout_seconds);
        else if (code == LOFT_TEST_EXIT_FAILED)
            printf("a check failed\n");
        else if (code >= 0)
            printf("exited with %d\n", code);
        else
            printf("killed by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    if (show)
        print_output(own->output);
    fflush(stdout);
    fclose(own->output);
    loft_test_folder_remove(test);
    own->test = NULL;
}

/* Reaps one ended child if there is one. The group is killed while the child is still waited
 * for, so its number cannot have been given to anybody else. */
static int reap_one(void)
{
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return 0;
    for (job *own = jobs; own < jobs + options.jobs; own++) {
        if (own->test == NULL || own->child != info.si_pid)
            continue;
        kill(-own->child, SIGKILL);
        int status = 0;
        waitpid(own->child, &status, 0);
        job_end(own, status);
        return 1;
    }
    waitpid(info.si_pid, NULL, 0); /* an orphan that was handed to us */
    return 1;
}

static void kill_late(void)
{
    const double now = now_seconds();
    for (job *own = jobs; own < jobs + options.jobs; own++) {
        if (own->test != NULL && !own->timed_out && now > own->deadline) {
            own->timed_out = 1;
            kill(-own->child, SIGKILL);
            kill(own->child, SIGKILL); /* should it have left its group */
        }
    }
}

static void wait_some(const sigset_t *child_signal)
{
    if (reap_one())
        return;
    const struct timespec tenth = {0, 100000000};
    sigtimedwait(child_signal, NULL, &tenth);
    kill_late();
}

static job *free_job(void)
{
    for (job *own = jobs; own < jobs + options.jobs; own++)
        if (own->test == NULL)
            return own;
    return NULL;
}

static int is_busy(void)
{
    for (job *own = jobs; own < jobs + options.jobs; own++)
        if (own->test != NULL)
            return 1;
    return 0;
}

static void run_all(void)
{
    struct note *notes = mmap(NULL, sizeof *notes * JOBS_MAX, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (notes == MAP_FAILED)
        die("mmap");
    for (unsigned i = 0; i < JOBS_MAX; i++)
        jobs[i].note = notes + i;
    sigset_t child_signal;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_signal, NULL);
    for (const loft_test *test = first; test != NULL; test = test->next) {
        if (!is_wanted(test))
            continue;
        job *own;
        while ((own = free_job()) == NULL)
            wait_some(&child_signal);
        job_start(own, test);
    }
    while (is_busy())
        wait_some(&child_signal);
}

static int list_all(void)
{
    for (const loft_test *test = first; test != NULL; test = test->next)
        if (is_wanted(test))
            printf("%s/%s\n", test->suite, test->name);
    return 0;
}

_Noreturn static void usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--list] [--filter GLOB]... [--jobs N] [--timeout SECONDS] [--verbose]\n",
            program);
    exit(2);
}

static unsigned number(const char *text, unsigned least, unsigned most, const char *program)
{
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value < least || value > most)
        usage(program);
    return (unsigned)value;
}

static void read_arguments(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        const char *name = arguments[i];
        if (strcmp(name, "--list") == 0) {
            options.list = 1;
        } else if (strcmp(name, "--verbose") == 0) {
            options.verbose = 1;
        } else if (i + 1 == count) {
            usage(arguments[0]);
        } else if (strcmp(name, "--filter") == 0 && options.filters < FILTERS_MAX) {
            options.filter[options.filters++] = arguments[++i];
        } else if (strcmp(name, "--jobs") == 0) {
            options.jobs = number(arguments[++i], 1, JOBS_MAX, arguments[0]);
        } else if (strcmp(name, "--timeout") == 0) {
            options.timeout_seconds = number(arguments[++i], 1, 1000000, arguments[0]);
        } else {
            usage(arguments[0]);
        }
    }
}

int main(int count, char **arguments)
{
    options.timeout_seconds = loft_test_timeout_seconds();
    read_arguments(count, arguments);
    if (options.list)
        return list_all();
    loft_test_session_begin();
    run_all();
    loft_test_session_end();
    printf("%u passed, %u failed, %u skipped\n", counts.passed, counts.failed, counts.skipped);
    if (counts.passed + counts.failed + counts.skipped == 0) {
        fprintf(stderr, "%s: no test has such a name\n", arguments[0]);
        return 2;
    }
    if (counts.failed > 0)
        return 1;
    return counts.passed > 0 ? 0 : LOFT_TEST_EXIT_ALL_SKIPPED;
}
