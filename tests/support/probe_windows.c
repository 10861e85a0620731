/* What this process holds, on Windows; declared in test.h.
 *
 * Handles are not counted for the tests that all platforms share: here a writable region keeps one,
 * and threads and the runtime take some as they like (tests/region/windows_test.c counts them where it can).
 * There is no fork, so what looks at the end of a child is skipped. */
#include <io.h>
#include <string.h>
#include <windows.h>

#include <psapi.h>

#include "support/test.h"

unsigned loft_test_entries(const char *folder)
{
    wchar_t wide[MAX_PATH];
    WIN32_FIND_DATAW entry;
    if (MultiByteToWideChar(CP_UTF8, 0, folder, -1, wide, MAX_PATH - 2) == 0)
        LOFT_FAIL("cannot name the folder %s", folder);
    wcscat(wide, L"\\*");
    const HANDLE entries = FindFirstFileW(wide, &entry);
    if (entries == INVALID_HANDLE_VALUE)
        LOFT_FAIL("cannot read the folder %s", folder);
    unsigned count = 0;
    do {
        count += wcscmp(entry.cFileName, L".") != 0 && wcscmp(entry.cFileName, L"..") != 0;
    } while (FindNextFileW(entries, &entry));
    FindClose(entries);
    return count;
}

unsigned loft_test_descriptors(void) { return 0; }

int loft_test_on_valgrind(void) { return 0; }

int loft_test_on_qemu(void) { return 0; }

void loft_test_needs_posix(const char *what) { LOFT_SKIP("Windows has no %s", what); }

intptr_t loft_test_handle(int descriptor) { return _get_osfhandle(descriptor); }

const char *loft_test_missing_text(void)
{
    static char text[256];
    DWORD length = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
                                  ERROR_PATH_NOT_FOUND, 0, text, sizeof text, NULL);
    while (length > 0 && strchr("\r\n .", text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

static void *fault_escape[5]; /* of __builtin_setjmp */

static LONG CALLBACK fault_catch(EXCEPTION_POINTERS *what)
{
    const DWORD code = what->ExceptionRecord->ExceptionCode;
    if (code != EXCEPTION_ACCESS_VIOLATION && code != EXCEPTION_IN_PAGE_ERROR)
        return EXCEPTION_CONTINUE_SEARCH;
    /* As __builtin_longjmp would, but when the handler has returned: the system's locks must not stay held. */
    what->ContextRecord->Rbp = (DWORD64)(uintptr_t)fault_escape[0];
    what->ContextRecord->Rip = (DWORD64)(uintptr_t)fault_escape[1];
    what->ContextRecord->Rsp = (DWORD64)(uintptr_t)fault_escape[2];
    return EXCEPTION_CONTINUE_EXECUTION;
}

int loft_test_faults(void (*fn)(void *arg), void *arg)
{
    void *const handler = AddVectoredExceptionHandler(1, fault_catch);
    volatile int faulted = 1;
    if (__builtin_setjmp(fault_escape) == 0) {
        fn(arg);
        faulted = 0;
    }
    RemoveVectoredExceptionHandler(handler);
    return faulted;
}

unsigned loft_test_mappings(void) { return 0; }

/* Allocations from 4 GiB to where loft's end; a view counts as long as its file. */
uint64_t loft_test_mapped_bytes(void)
{
    uint64_t bytes = 0;
    MEMORY_BASIC_INFORMATION info;
    uint64_t at = UINT64_C(1) << 32;
    while (VirtualQuery((void *)at, &info, sizeof info) != 0) {
        if (info.State != MEM_FREE)
            bytes += info.RegionSize;
        at = (uint64_t)info.BaseAddress + info.RegionSize;
    }
    return bytes;
}

/* What is told of a mapping's file is compared with what is told of one made for it here. */
unsigned loft_test_mappings_of(const char *path)
{
    char wanted[1024], name[1024];
    wchar_t wide[MAX_PATH];
    if (MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, MAX_PATH) == 0)
        LOFT_FAIL("cannot name %s", path);
    const HANDLE file = CreateFileW(wide, GENERIC_READ, 7, NULL, OPEN_EXISTING, 0, NULL);
    const HANDLE section = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL);
    void *own = MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0);
    if (own == NULL || K32GetMappedFileNameA(GetCurrentProcess(), own, wanted, sizeof wanted) == 0)
        LOFT_FAIL("cannot map %s: error %lu", path, GetLastError());
    UnmapViewOfFile(own);
    CloseHandle(section);
    CloseHandle(file);
    unsigned count = 0;
    MEMORY_BASIC_INFORMATION info;
    for (uint64_t at = 0; VirtualQuery((void *)at, &info, sizeof info) != 0;
         at = (uint64_t)info.BaseAddress + info.RegionSize) {
        if (info.State != MEM_FREE && info.Type == MEM_MAPPED &&
            info.AllocationBase == (void *)at &&
            K32GetMappedFileNameA(GetCurrentProcess(), (void *)at, name, sizeof name) != 0)
            count += strcmp(name, wanted) == 0;
    }
    return count;
}

void loft_test_run_child(void (*fn)(void *), void *arg, loft_test_child *out)
{
    (void)fn;
    (void)arg;
    (void)out;
    LOFT_SKIP("Windows has no fork");
}

void loft_test_death(loft_test_place place, const char *what, void (*fn)(void *arg), void *arg,
                     int signal, const char *part)
{
    (void)place;
    (void)what;
    (void)fn;
    (void)arg;
    (void)signal;
    (void)part;
    LOFT_SKIP("Windows has no fork");
}
