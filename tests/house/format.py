"""C is formatted by clang-format, shell scripts parse."""

import os
import re
import shutil

from house import ARGS, Skip, files, main, planted, read, rule, run

MAJOR = "14"  # Other versions format the same text differently.


def formatter():
    for name in ("clang-format-" + MAJOR, "clang-format"):
        if shutil.which(name):
            _, text = run([name, "--version"])
            if re.search(rf"version {MAJOR}\.", text):
                return name
    raise Skip(f"there is no clang-format {MAJOR} (script/bootstrap installs it)")


def unformatted(paths):
    command = [formatter(), "--style=file:" + os.path.join(ARGS.source, ".clang-format"),
               "--dry-run", "-Werror", "--ferror-limit=1"]
    found = []
    for path in paths:
        code, text = run(command + [path])
        if code != 0:
            line = next((l for l in text.splitlines() if "error:" in l), "is not formatted")
            found.append(line.replace(ARGS.source + "/", ""))
    return found


@rule
def c_is_formatted():
    """run clang-format -i on the files named"""
    return unformatted([os.path.join(ARGS.source, name) for name in files(".c", ".h", ".cpp")])


@rule
def prove_unformatted_c_is_seen():
    """planted violations"""
    bad, good = planted("int f(void){return 1;}\n", ".c"), planted("int f(void);\n", ".c")
    try:
        return [] if len(unformatted([bad, good])) == 1 else ["it was not seen"]
    finally:
        os.remove(bad)
        os.remove(good)


def scripts():
    return [name for name in files()
            if name.endswith(".sh") or
            (name.startswith(("script/", ".ci/", "tests/", "bench/")) and
             re.match(r"#!.*\b(ba)?sh\b", read(name).split("\n", 1)[0]))]


def unparsable(paths):
    return [text.strip() for code, text in (run(["bash", "-n", path]) for path in paths) if code]


@rule
def shell_scripts_parse():
    """bash -n"""
    names = scripts()
    found = unparsable([os.path.join(ARGS.source, name) for name in names])
    return found + [f"{name}: is not executable" for name in names if not name.endswith(".sh")
                    and not os.access(os.path.join(ARGS.source, name), os.X_OK)]


@rule
def prove_broken_scripts_are_seen():
    """planted violations"""
    path = planted("if true; then echo\n", ".sh")
    try:
        return [] if unparsable([path]) else ["it was not seen"]
    finally:
        os.remove(path)


main()
