"""What the tests of the `loft` command share: running it, and a count of what passed.

A test is a function marked @case; it fails by an AssertionError and skips by Skip(reason). Each has an
empty folder of its own as its working folder.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAM, FILL = (os.path.realpath(path) for path in sys.argv[1:3])
HERE = os.path.dirname(os.path.realpath(__file__))
CASES = []
PATIENCE = 120  # seconds; nothing comes near it but what hangs
SANITIZERS = re.compile(r"(Address|Leak|Thread|Memory)Sanitizer|runtime error:")


class Skip(Exception):
    """A case that cannot be tried here, and why."""


def case(function):
    CASES.append(function)
    return function


class Done:
    def __init__(self, done, arguments):
        self.code, self.out, self.error = done.returncode, done.stdout, done.stderr
        self.arguments = arguments

    def __str__(self):
        return f"loft {' '.join(self.arguments)}: {self.code}\n{self.out[:2000]}{self.error[:2000]}"


def loft(*arguments, want=0, env=None, binary=False):
    """Runs the command. want: its exit code, or a set of them."""
    done = subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
                          env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80", "LINES": "24", **(env or {})})
    error = done.stderr.decode(errors="replace")
    answer = Done(done, [str(argument) for argument in arguments])
    answer.error = error
    answer.out = done.stdout if binary else done.stdout.decode(errors="replace")
    assert not SANITIZERS.search(error), answer
    codes = want if isinstance(want, (set, frozenset)) else {want}
    assert done.returncode in codes, answer
    return answer


def needs_room(filled):
    """Skips where cli_fill says that the address in what the command is to print does not exist."""
    if b"lies outside this address space" in filled.stderr:
        raise Skip("the address of these files lies outside this small address space")


def fill(kind, *arguments, want=0):
    done = subprocess.run([FILL, kind, *map(str, arguments)], timeout=PATIENCE * 10, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    needs_room(done)
    assert done.returncode == want, done
    return arguments[0]


def scans():
    """The options of `check` that look at every word, as far as the system has what they need: --foreign wants a list of
    mappings, and is refused without one."""
    with tempfile.TemporaryDirectory(prefix="loft-test.") as folder:
        path = os.path.join(folder, "a.loft")
        subprocess.run([PROGRAM, "create", path], stdout=subprocess.DEVNULL, check=False)
        done = subprocess.run([PROGRAM, "check", "--foreign", path], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
    refused = done.returncode == 3 and b"look for addresses" in done.stderr
    return ("--leaks",) if refused else ("--leaks", "--foreign")


def content(path):
    with open(path, "rb") as file:
        return file.read()


def matches(value, schema, where="$"):
    """A complaint about a value that a schema (a part of JSON Schema) does not allow, or None."""
    if "anyOf" in schema:
        found = [matches(value, one, where) for one in schema["anyOf"]]
        return None if None in found else "; ".join(found)
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    wanted = schema.get("type")
    if wanted in ("integer", "number"):
        kind = (int,) if wanted == "integer" else (int, float)
        if not isinstance(value, kind) or isinstance(value, bool) or value < schema.get("minimum", value):
            return f"{where}: {value!r} is no {wanted}"
    elif wanted and not isinstance(value, kinds[wanted]):
        return f"{where}: {value!r} is no {wanted}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return f"{where}: {value!r} does not match {schema['pattern']}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where}: {value!r} is none of {schema['enum']}"
    if isinstance(value, dict):
        for key in schema.get("required", []):
            if key not in value:
                return f"{where}: has no {key}"
        for key, member in value.items():
            inner = schema.get("properties", {}).get(key)
            if inner is None and not schema.get("additionalProperties", True):
                return f"{where}: {key} is unknown"
            complaint = matches(member, inner or {}, f"{where}.{key}")
            if complaint:
                return complaint
    if isinstance(value, list):
        for i, member in enumerate(value):
            complaint = matches(member, schema.get("items", {}), f"{where}[{i}]")
            if complaint:
                return complaint
    return None


def facts(name, answer):
    """The JSON that a command printed, which must be as tests/cli/schema.json says."""
    with open(os.path.join(HERE, "schema.json"), encoding="utf-8") as file:
        schemas = json.load(file)
    value = json.loads(answer.out)
    complaint = matches(value, schemas[name])
    assert complaint is None, f"{complaint}\n{answer}"
    return value


def main():
    passed = failed = skipped = 0
    for function in CASES:
        title = function.__name__
        folder = tempfile.mkdtemp(prefix="loft-test.")
        os.chdir(folder)
        try:
            function()
            passed += 1
            print(f"pass {title}")
        except Skip as reason:
            skipped += 1
            print(f"skip {title}: {reason}")
        except (AssertionError, subprocess.TimeoutExpired, ValueError, KeyError, OSError) as error:
            failed += 1
            print(f"FAIL {title}: {error!r}" if not str(error) else f"FAIL {title}: {error}")
        finally:
            os.chdir("/")
            shutil.rmtree(folder, ignore_errors=True)
        sys.stdout.flush()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 77 if skipped and not passed else 0)
