"""System calls are made in src/os only, and the shared library shows exactly what its headers
declare. Both are read from what the compiler made, with nm, not from the text."""

import os
import re
import tempfile

from house import ARGS, Skip, files, main, read, rule, run

# What the layers may ask of libc, and why that is no system call and no hidden heap.
EVERYWHERE = {
    "memcpy memmove memset memcmp memchr strlen strnlen strcmp strncmp strchr strrchr": "bytes",
    "__memcpy_chk __memmove_chk __memset_chk __strcpy_chk __strncpy_chk": "the same, fortified",
    "strcpy strncpy stpcpy strstr memrchr memmem bcmp": "bytes",
    "snprintf vsnprintf __snprintf_chk __vsnprintf_chk": "formats into a buffer",
    "strtoul strtoull strtol strtoll qsort bsearch": "pure",
    "__errno_location strerror_r __xpg_strerror_r": "the caller's errno",
    "__stack_chk_fail __assert_fail abort": "the end of a broken process",
    "_GLOBAL_OFFSET_TABLE_": "position-independent code",
    "__popcountdi2 __udivti3 __umodti3 __multi3": "arithmetic the processor has no word for",
}
PTHREAD = re.compile(r"^pthread_(mutex|rwlock|cond|once|key|spin|self|equal|getspecific|"
                     r"setspecific|mutexattr|condattr|rwlockattr)")
# Put in by the compiler when it is asked to watch.
INSTRUMENTS = re.compile(r"^__(asan|ubsan|tsan|msan|lsan|gcov|sanitizer|llvm)_")
LAYER_ONLY = {
    "base": {
        "fprintf fputs fputc fwrite fflush stderr __fprintf_chk": "the last words of a misuse",
        "__tls_get_addr": "the last error is not worth the static thread-local space that "
                          "initial-exec takes from a program that loads the library late",
    },
    "arena": {
        "getenv": "LOFT_TRACKER, read at open",
    },
}
# xxhash.h brings functions that allocate, unused and removed whenever the compiler optimizes.
UNOPTIMIZED = {"base/hash.c": {"malloc", "free"}}
# os makes the calls; these it must not make either.
NOWHERE = set("malloc calloc realloc free strdup posix_memalign aligned_alloc fopen fclose "
              "system popen execve fork vfork sleep usleep signal sigaction gets strcat "
              "sprintf".split())


def words(table):
    return {name for names in table for name in names.split()}


def allowed(layer, source, symbol):
    symbol = symbol.split("@")[0]
    if symbol.startswith(("loft_", "lofti_")) or INSTRUMENTS.match(symbol):
        return True
    if symbol in UNOPTIMIZED.get(source, ()):
        return True
    if layer == "os":
        return symbol not in NOWHERE
    return (symbol in words(EVERYWHERE) or bool(PTHREAD.match(symbol))
            or symbol in words(LAYER_ONLY.get(layer, {})))


def undefined(path):
    code, text = run(["nm", "--undefined-only", "--format=posix", path])
    if code != 0:
        raise Skip(f"nm cannot read {path}: {text.strip()}")
    return [line.split()[0] for line in text.splitlines() if line]


def strangers(path, source):
    layer = source.split("/")[0]
    return [f"src/{source}: {symbol} may be called in src/os only, or nowhere"
            if layer != "os" else f"src/{source}: {symbol} may be called nowhere"
            for symbol in undefined(path) if not allowed(layer, source, symbol)]


def objects():
    found = []
    for path in ARGS.objects.split(":"):
        match = re.search(r"loft_objects\.dir/(.*\.c)\.o$", path)
        if match and os.path.exists(path):
            found.append((path, match.group(1)))
    return found


def compiled(text):
    """An object file made of this text."""
    with tempfile.NamedTemporaryFile(suffix=".o", delete=False) as out:
        code, messages = run([ARGS.cc, "-x", "c", "-c", "-", "-O1", "-o", out.name], input=text)
    return out.name if code == 0 else messages


@rule
def system_calls_are_made_in_os_only():
    """add to the table in symbols.py only what is no system call, with its reason"""
    if not objects():
        return ["there are no object files to look at"]
    found = []
    for path, source in objects():
        found += strangers(path, source)
    return found


@rule
def prove_system_calls_are_seen():
    """planted violations"""
    path = compiled("#include <sys/mman.h>\n#include <stdlib.h>\n#include <string.h>\n"
                    "void *f(void *p, void *q) { munmap(p, 1); free(q); return strchr(p, 1); }\n")
    try:
        complaints = []
        for source, expected in (("heap/x.c", {"munmap", "free"}), ("os/x.c", {"free"})):
            seen = {line.split()[1] for line in strangers(path, source)}
            if seen != expected:
                complaints.append(f"in src/{source} seen: {sorted(seen)}, not {sorted(expected)}")
        return complaints
    finally:
        os.remove(path)


def declared(text):
    """The functions with external linkage that a preprocessed header declares or defines."""
    text = re.sub(r"^[ \t]*#.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)", "", text)
    depth, kept = 0, []
    for character in text:
        depth -= character == "}"
        if depth == 0:
            kept.append(";" if character == "}" else character)
        depth += character == "{"
        if character == "{" and depth == 1:
            kept[-1:] = [";"]
    names = set()
    for statement in "".join(kept).split(";"):
        if re.search(r"\b(typedef|static|enum|struct\s+\w+\s*$)", statement):
            if re.search(r"\b(typedef|static)\b", statement):
                continue
        match = re.search(r"\b(loft_\w+)\s*\(", statement)
        if match:
            names.add(match.group(1))
    return names


def preprocessed(header):
    code, text = run([ARGS.cc, "-E", "-P", "-std=c11", "-I", os.path.join(ARGS.source, "include"),
                      os.path.join(ARGS.source, header)])
    if code != 0:
        raise Skip(f"{header} does not compile: {text.strip()}")
    return text


def exported(path):
    _, text = run(["nm", "--dynamic", "--defined-only", "--format=posix", path])
    return {line.split()[0].split("@")[0] for line in text.splitlines()
            if line.split()[1] in "TtDdBbRrWVi"}


def compare(declarations, exports):
    return ([f"declared but not exported: {name}" for name in sorted(declarations - exports)] +
            [f"exported but not declared: {name}" for name in sorted(exports - declarations)
             if not INSTRUMENTS.match(name)])


@rule
def exported_symbols_are_the_declared_ones():
    """the shared library shows its public functions and nothing else"""
    if not os.path.exists(ARGS.shared):
        return [f"there is no {ARGS.shared}"]
    names = set()
    for header in files(".h", under="include/loft/"):
        names |= declared(preprocessed(header))
    return compare(names, exported(ARGS.shared))


@rule
def prove_declarations_are_read():
    """planted violations"""
    names = declared("typedef int loft_fn(void *x); int loft_a(void);\n"
                     "struct loft_s { int (*loft_member)(int); };\n"
                     "static inline int loft_b(void) { return loft_a(); }\n"
                     "inline int loft_c(int x) { if (x) { return loft_a(); } return 1; }\n"
                     "void *loft_d(loft_fn *fn, int (*g)(void))\n"
                     "    __attribute__((malloc(loft_e, 1))); enum { X = 1 };\n")
    found = [] if names == {"loft_a", "loft_c", "loft_d"} else [f"read: {sorted(names)}"]
    if len(compare({"loft_a", "loft_b"}, {"loft_b", "lofti_c"})) != 2:
        found.append("a missing and a surplus symbol were not both seen")
    return found


main()
