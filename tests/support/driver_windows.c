/* The driver on Windows: a test's process is this program once more, told to run that one test.
 *
 * It lies in a job object of its own, so that what it leaves running ends with it. Its output goes to
 * a file in the session's folder, and so does the reason of a skip. */
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "support/driver.h"
#include "support/folder.h"

enum { START_TRIES = 50 };

typedef struct job {
    HANDLE process, group;
    ULONGLONG begin, deadline; /* ms since the system's start */
    int timed_out;
} job;

static job jobs[LOFT_DRIVER_JOBS_MAX];

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

void loft_driver_begin(void)
{
    _setmode(_fileno(stdout), _O_BINARY); /* lines end as everywhere else */
    _setmode(_fileno(stderr), _O_BINARY);
    if (loft_driver_asked.run != NULL)
        SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX); /* a crash asks nobody */
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

void loft_driver_start(unsigned place, const loft_test *test)
{
    job *own = &jobs[place];
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
    own->timed_out = 0;
    own->group = make_group();
    own->begin = GetTickCount64();
    own->deadline = own->begin + 1000ull * loft_driver_asked.timeout_seconds;
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

static void read_reason(const loft_test *test, char *reason)
{
    char path[MAX_PATH];
    name_of_file(test, "why", path, sizeof path);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return;
    reason[fread(reason, 1, LOFT_DRIVER_REASON_BYTES - 1, file)] = '\0';
    fclose(file);
    DeleteFileA(path);
}

static void job_end(unsigned place)
{
    job *own = &jobs[place];
    const loft_test *test = loft_driver_at(place);
    char reason[LOFT_DRIVER_REASON_BYTES] = "", path[MAX_PATH], fate[32];
    DWORD code = 0;
    GetExitCodeProcess(own->process, &code);
    CloseHandle(own->process);
    CloseHandle(own->group); /* ends what the test left running */
    if (code == LOFT_TEST_EXIT_SKIPPED)
        read_reason(test, reason);
    snprintf(fate, sizeof fate, "exited with 0x%lx", code);
    const loft_driver_end end = {(double)(GetTickCount64() - own->begin) / 1000, (int)code,
                                 own->timed_out, reason, fate};
    name_of_file(test, "out", path, sizeof path);
    if (loft_driver_ended(place, &end))
        print_file(path);
    fflush(stdout);
    DeleteFileA(path);
    loft_test_folder_remove(test);
}

void loft_driver_wait(void)
{
    HANDLE running[LOFT_DRIVER_JOBS_MAX] = {NULL};
    unsigned owner[LOFT_DRIVER_JOBS_MAX];
    DWORD count = 0;
    for (unsigned i = 0; i < loft_driver_asked.jobs; i++) {
        if (loft_driver_at(i) != NULL) {
            owner[count] = i;
            running[count++] = jobs[i].process;
        }
    }
    const DWORD which = WaitForMultipleObjects(count, running, FALSE, 100);
    if (which < WAIT_OBJECT_0 + count) {
        job_end(owner[which - WAIT_OBJECT_0]);
        return;
    }
    for (DWORD i = 0; i < count; i++) {
        job *own = &jobs[owner[i]];
        if (!own->timed_out && GetTickCount64() > own->deadline) {
            own->timed_out = 1;
            TerminateJobObject(own->group, LOFT_TEST_EXIT_FAILED);
        }
    }
}
