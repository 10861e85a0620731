"""Every public header compiles alone, as C11, C17 and C++17, without a warning."""

import os

from house import ARGS, Skip, files, main, rule, run

STRICT = ["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wundef", "-Werror",
          "-I", os.path.join(ARGS.source, "include")]


def complaints(compiler, standard, language, text):
    code, messages = run([compiler, "-x", language, "-std=" + standard, *STRICT, "-"], input=text)
    return messages.strip() if code != 0 else ""


def check_all(compiler, standard, language):
    if not compiler:
        raise Skip(f"there is no {language} compiler")
    found = []
    for name in files(".h", under="include/"):
        header = name[len("include/"):]
        # Twice: it must guard itself, too.
        text = f'#include "{header}"\n#include "{header}"\nint nothing;\n'
        message = complaints(compiler, standard, language, text)
        if message:
            found.append(f"{name} as {standard}: {message}")
    return found


@rule
def headers_are_c11():
    """no extension is needed"""
    return check_all(ARGS.cc, "c11", "c")


@rule
def headers_are_c17():
    """no extension is needed"""
    return check_all(ARGS.cc, "c17", "c")


@rule
def headers_are_cpp17():
    """they are C++ too"""
    return check_all(ARGS.cxx, "c++17", "c++")


@rule
def prove_bad_headers_are_seen():
    """planted violations"""
    found = []
    if not complaints(ARGS.cc, "c11", "c", "unknown_type f(void);\n"):
        found.append("a type that nobody declares")
    if ARGS.cxx and not complaints(ARGS.cxx, "c++17", "c++", "void f(int class);\n"):
        found.append("a C++ keyword as a name")
    return found


main()
