/* The driver where there is fork: any POSIX system, any sanitizer.
 *
 * The parent has one thread and no state that a test could spoil. Per running test it keeps a
 * job: the child, its process group (so that what a test leaves running ends with it), a
 * nameless file with its output, and a deadline. */
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

#include "support/driver.h"
#include "support/folder.h"

/* What a child tells its parent beside its exit code. */
struct note {
    char reason[LOFT_DRIVER_REASON_BYTES]; /* why it skips */
};

typedef struct job {
    pid_t child;
    FILE *output;
    double begin, deadline; /* seconds of the monotonic clock */
    int timed_out;
    struct note *note; /* shared with the child */
} job;

static job jobs[LOFT_DRIVER_JOBS_MAX];
static struct note *own_note; /* in a child: its job's */
static sigset_t child_signal;

static unsigned place_of(const job *own) { return (unsigned)(own - jobs); }

void loft_test_runner_skip(const loft_test *test, const char *reason)
{
    (void)test;
    snprintf(own_note->reason, LOFT_DRIVER_REASON_BYTES, "%s", reason);
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

_Noreturn static void be_child(job *own, const loft_test *test)
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
    loft_test_run(test);
    exit(0); /* not _exit: leak checkers look at the process here */
}

void loft_driver_start(unsigned place, const loft_test *test)
{
    job *own = &jobs[place];
    own->timed_out = 0;
    *own->note->reason = '\0';
    own->output = tmpfile();
    if (own->output == NULL)
        die("tmpfile");
    fflush(stdout);
    own->begin = now_seconds();
    own->deadline = own->begin + loft_driver_asked.timeout_seconds;
    own->child = fork();
    if (own->child < 0)
        die("fork");
    if (own->child == 0)
        be_child(own, test);
    setpgid(own->child, own->child); /* whoever is first; the other call changes nothing */
}

void loft_driver_begin(void)
{
    if (loft_driver_asked.run != NULL) {
        fprintf(stderr, "tests: --run is for systems without fork; --filter chooses a test\n");
        exit(2);
    }
    struct note *notes = mmap(NULL, sizeof *notes * LOFT_DRIVER_JOBS_MAX, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (notes == MAP_FAILED)
        die("mmap");
    for (unsigned i = 0; i < LOFT_DRIVER_JOBS_MAX; i++)
        jobs[i].note = notes + i;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_signal, NULL);
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
    char fate[128];
    const loft_driver_end end = {now_seconds() - own->begin,
                                 WIFEXITED(status) ? WEXITSTATUS(status) : -1, own->timed_out,
                                 own->note->reason, fate};
    const loft_test *test = loft_driver_at(place_of(own));
    if (end.code >= 0)
        snprintf(fate, sizeof fate, "exited with %d", end.code);
    else
        snprintf(fate, sizeof fate, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    if (loft_driver_ended(place_of(own), &end))
        print_output(own->output);
    fflush(stdout);
    fclose(own->output);
    loft_test_folder_remove(test);
}

/* Reaps one ended child if there is one. The group is killed while the child is still waited
 * for, so its number cannot have been given to anybody else. */
static int reap_one(void)
{
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return 0;
    for (job *own = jobs; own < jobs + loft_driver_asked.jobs; own++) {
        if (loft_driver_at(place_of(own)) == NULL || own->child != info.si_pid)
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
    for (job *own = jobs; own < jobs + loft_driver_asked.jobs; own++) {
        if (loft_driver_at(place_of(own)) != NULL && !own->timed_out && now > own->deadline) {
            own->timed_out = 1;
            kill(-own->child, SIGKILL);
            kill(own->child, SIGKILL); /* should it have left its group */
        }
    }
}

void loft_driver_wait(void)
{
    if (reap_one())
        return;
    const struct timespec tenth = {0, 100000000};
    sigtimedwait(&child_signal, NULL, &tenth);
    kill_late();
}
