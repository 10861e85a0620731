"""What all house tests share: the repository's files, and a runner for rules.

A theme is a program with functions marked @rule. Each returns a list of violations, one
sentence each; none means the rule holds. A rule may raise Skip(reason). Rules named prove_...
plant a violation and return a complaint when the rule next to them does not see it.
"""

import argparse
import os
import subprocess
import sys
import tempfile

RULES = []


class Skip(Exception):
    """A rule that cannot be checked here, and why."""


def rule(function):
    RULES.append(function)
    return function


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("source", "build", "cc", "cxx", "cmake", "objects", "shared"):
        parser.add_argument("--" + name, default="")
    parser.add_argument("--samples", nargs="*", default=[])
    return parser.parse_args()


ARGS = arguments()


def run(command, **more):
    """Runs a command; returns its exit code and its output and errors as one text."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False, **more)
    return done.returncode, done.stdout


def files(*endings, under=""):
    """The repository's own files with one of these endings, as relative paths."""
    code, text = run(["git", "-C", ARGS.source, "-c", "safe.directory=*", "ls-files", "-z",
                      "--cached", "--others", "--exclude-standard"])
    found = text.split("\0") if code == 0 else walk()
    found = sorted({name for name in found if os.path.isfile(os.path.join(ARGS.source, name))})
    return [name for name in found
            if name.startswith(under) and (not endings or name.endswith(endings))]


def walk():
    """The same for an unpacked archive, which git does not know."""
    found = []
    for folder, folders, names in os.walk(ARGS.source):
        folders[:] = [name for name in folders if name not in ("build", ".git", "__pycache__")]
        found += [os.path.relpath(os.path.join(folder, name), ARGS.source) for name in names]
    return found


def read(name):
    with open(os.path.join(ARGS.source, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def planted(text, ending):
    """A temporary file with this text; returns its path. The caller removes it."""
    with tempfile.NamedTemporaryFile("w", suffix=ending, delete=False) as file:
        file.write(text)
        return file.name


def main():
    passed = failed = skipped = 0
    for function in RULES:
        title = function.__name__
        try:
            violations = function()
        except Skip as reason:
            skipped += 1
            print(f"skip {title}: {reason}")
            continue
        except (OSError, AssertionError) as error:
            violations = [str(error)]
        if not violations:
            passed += 1
            print(f"pass {title}")
            continue
        failed += 1
        print(f"FAIL {title}: {(function.__doc__ or '').strip()}")
        for line in violations:
            print(f"    {line}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 77 if skipped and not passed else 0)
