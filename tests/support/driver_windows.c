/* The driver on Windows: as driver.c, but a test's process is this program once more, told to run that one
 * test. Same arguments, same closing line, same exit codes.
 *
 *     PROGRAM [--list] [--filter GLOB]... [--jobs N] [--timeout SECONDS] [--verbose]
 *     PROGRAM --run SUITE/NAME                 what it starts itself as
 *
 * Each test's process lies in a job object of its own, so that what it leaves running ends with it. Its
 * output goes to a file in the session's folder, and so does the reason of a skip. */
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "support/folder.h"
#include "support/runner.h"

enum { JOBS_MAX = 64, FILTERS_MAX = 16, REASON_BYTES = 256, START_TRIES = 50 };

typedef struct job {
    const loft_test *test; /* NULL: this place is free */
    HANDLE process, group;
    ULONGLONG begin, deadline; /* ms since the system's start */
    int timed_out;
} job;

static struct {
    int list, verbose;
    unsigned jobs, timeout_seconds;
    unsigned filters;
    const char *filter[FILTERS_MAX];
    const char *run;
} options = {.jobs = 1};

static struct {
    unsigned passed, failed, skipped;
} counts;

static loft_test *first, **last = &first;
static job jobs[JOBS_MAX];

void loft_test_register(loft_test *test)
{
    *last = test;
    last = &test->next;
}

/* A file of a test's beside its folder: "out" or "why". */
static void name_of_file(const loft_test *test, const char *what, char *out, size_t bytes)
{
    const char *session = getenv("LOFT_TEST_SESSION");
    if (session == NULL ||
        snprintf(out, bytes, "%s/%s.%s.%s", session, test->suite, test->name, what) >= (int)bytes) {
        fprintf(stderr, "tests: no session folder, or its name is too long\n");
        exit(LOFT_TEST_EXIT_FAILED);
    }
}

void loft_test_runner_skip(const loft_test *test, const char *reason)
{
    char path[MAX_PATH];
    name_of_file(test, "why", path, sizeof path);
    FILE *file = fopen(path, "wb");
    if (file != NULL) {
        fputs(reason, file);
        fclose(file);
    }
    loft_test_exit(LOFT_TEST_EXIT_SKIPPED);
}

static void die(const char *what)
{
    fprintf(stderr, "%s: error %lu\n", what, GetLastError());
    exit(2);
}

/* * and ? as shells take them. */
static int is_match(const char *glob, const char *text)
{
    for (; *glob != '\0'; glob++, text++) {
        if (*glob == '*') {
            while (*text != '\0' && !is_match(glob + 1, text))
                text++;
            return is_match(glob + 1, text);
        }
        if (*text == '\0' || (*glob != '?' && *glob != *text))
            return 0;
    }
    return *text == '\0';
}

static int is_wanted(const loft_test *test)
{
    char name[256];
    snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
    for (unsigned i = 0; i < options.filters; i++)
        if (is_match(options.filter[i], name))
            return 1;
    return options.filters == 0;
}

static HANDLE open_output(const loft_test *test)
{
    char path[MAX_PATH];
    name_of_file(test, "out", path, sizeof path);
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    return CreateFileA(path, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, &inherited,
                       CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
}

static HANDLE make_group(void)
{
    const HANDLE group = CreateJobObjectA(NULL, NULL);
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;
    memset(&limits, 0, sizeof limits);
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    if (group == NULL ||
        !SetInformationJobObject(group, JobObjectExtendedLimitInformation, &limits, sizeof limits))
        die("job object");
    return group;
}

static void job_start(job *own, const loft_test *test)
{
    char program[MAX_PATH], command[2 * MAX_PATH];
    const HANDLE output = open_output(test);
    if (output == INVALID_HANDLE_VALUE || GetModuleFileNameA(NULL, program, sizeof program) == 0)
        die("output file");
    snprintf(command, sizeof command, "\"%s\" --run %s/%s", program, test->suite, test->name);
    STARTUPINFOA start;
    memset(&start, 0, sizeof start);
    start.cb = sizeof start;
    start.dwFlags = STARTF_USESTDHANDLES;
    start.hStdInput = INVALID_HANDLE_VALUE;
    start.hStdOutput = output;
    start.hStdError = output;
    PROCESS_INFORMATION process;
    own->test = test;
    own->timed_out = 0;
    own->group = make_group();
    own->begin = GetTickCount64();
    own->deadline = own->begin + 1000ull * options.timeout_seconds;
    fflush(stdout);
    /* Wine refuses some while its server is starting. */
    for (int i = 0; !CreateProcessA(program, command, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL,
                                    NULL, &start, &process);
         i++) {
        if (i == START_TRIES)
            die("CreateProcess");
        Sleep(100);
    }
    if (!AssignProcessToJobObject(own->group, process.hProcess))
        die("AssignProcessToJobObject");
    ResumeThread(process.hThread);
    CloseHandle(process.hThread);
    CloseHandle(output);
    own->process = process.hProcess;
}

static void print_file(const char *path)
{
    char block[4096];
    size_t got;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return;
    while ((got = fread(block, 1, sizeof block, file)) > 0)
        fwrite(block, 1, got, stdout);
    fclose(file);
}

static int read_reason(const loft_test *test, char *reason)
{
    char path[MAX_PATH];
    name_of_file(test, "why", path, sizeof path);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return 0;
    reason[fread(reason, 1, REASON_BYTES - 1, file)] = '\0';
    fclose(file);
    DeleteFileA(path);
    return 1;
}

static void job_end(job *own)
{
    const loft_test *test = own->test;
    char reason[REASON_BYTES], path[MAX_PATH];
    DWORD code = 0;
    GetExitCodeProcess(own->process, &code);
    CloseHandle(own->process);
    CloseHandle(own->group); /* ends what the test left running */
    const double seconds = (double)(GetTickCount64() - own->begin) / 1000;
    int show = options.verbose;
    if (code == 0 && !own->timed_out) {
        counts.passed++;
        printf("pass %s/%s (%.2f s)\n", test->suite, test->name, seconds);
    } else if (code == LOFT_TEST_EXIT_SKIPPED && read_reason(test, reason)) {
        counts.skipped++;
        printf("skip %s/%s: %s\n", test->suite, test->name, reason);
    } else {
        counts.failed++;
        show = 1;
        printf("FAIL %s/%s (%.2f s): ", test->suite, test->name, seconds);
        if (own->timed_out)
            printf("timed out after %u s\n", options.timeout_seconds);
        else if (code == LOFT_TEST_EXIT_FAILED)
            printf("a check failed\n");
        else
            printf("exited with 0x%lx\n", code);
    }
    name_of_file(test, "out", path, sizeof path);
    if (show)
        print_file(path);
    fflush(stdout);
    DeleteFileA(path);
    loft_test_folder_remove(test);
    own->test = NULL;
}

/* Waits for a test to end, or a tenth of a second. */
static void wait_some(void)
{
    HANDLE running[JOBS_MAX] = {NULL};
    job *owner[JOBS_MAX];
    DWORD count = 0;
    for (job *own = jobs; own < jobs + options.jobs; own++) {
        if (own->test != NULL) {
            owner[count] = own;
            running[count++] = own->process;
        }
    }
    const DWORD which = WaitForMultipleObjects(count, running, FALSE, 100);
    if (which < WAIT_OBJECT_0 + count) {
        job_end(owner[which - WAIT_OBJECT_0]);
        return;
    }
    for (DWORD i = 0; i < count; i++) {
        if (!owner[i]->timed_out && GetTickCount64() > owner[i]->deadline) {
            owner[i]->timed_out = 1;
            TerminateJobObject(owner[i]->group, LOFT_TEST_EXIT_FAILED);
        }
    }
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
    for (const loft_test *test = first; test != NULL; test = test->next) {
        if (!is_wanted(test))
            continue;
        job *own;
        while ((own = free_job()) == NULL)
            wait_some();
        job_start(own, test);
    }
    while (is_busy())
        wait_some();
}

/* In a test's process. A crash must neither ask anybody nor lose what was printed before it. */
static int run_one(const char *wanted)
{
    char name[256];
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
    setvbuf(stdout, NULL, _IONBF, 0);
    for (const loft_test *test = first; test != NULL; test = test->next) {
        snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
        if (strcmp(name, wanted) == 0) {
            loft_test_run(test);
            return 0;
        }
    }
    fprintf(stderr, "there is no test %s\n", wanted);
    return 2;
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
        } else if (strcmp(name, "--run") == 0) {
            options.run = arguments[++i];
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
    _setmode(_fileno(stdout), _O_BINARY); /* lines end as everywhere else */
    _setmode(_fileno(stderr), _O_BINARY);
    options.timeout_seconds = loft_test_timeout_seconds();
    read_arguments(count, arguments);
    if (options.run != NULL)
        return run_one(options.run);
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
