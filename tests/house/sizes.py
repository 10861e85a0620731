"""No file over 500 lines, no function over 70. A function is measured from the line of its
opening brace to that of its closing one, both counted: in formatted code these are lone braces
in the first column."""

import os

from house import ARGS, files, main, read, rule

FILE_LINES = 500
FUNCTION_LINES = 70


def functions(text):
    """(first line, lines) of every function; lines are numbered from 1."""
    found, begin = [], None
    for number, line in enumerate(text.splitlines(), 1):
        if line == "{":
            begin = number
        elif line.startswith("}") and begin is not None:
            found.append((begin, number - begin + 1))
            begin = None
    return found


def is_text(name):
    with open(os.path.join(ARGS.source, name), "rb") as file:
        return b"\0" not in file.read(4096)


@rule
def no_file_is_over_500_lines():
    """split it along a seam that has a name"""
    found = []
    for name in files():
        if name.endswith((".md", "LICENSE")) or not is_text(name):
            continue
        lines = read(name).count("\n")
        if lines > FILE_LINES:
            found.append(f"{name}: {lines} lines")
    return found


@rule
def no_function_is_over_70_lines():
    """name its parts"""
    found = []
    for name in files(".c", ".h"):
        for begin, lines in functions(read(name)):
            if lines > FUNCTION_LINES:
                found.append(f"{name}:{begin}: {lines} lines")
    return found


@rule
def prove_long_functions_are_seen():
    """planted violations"""
    def sample(lines):
        body = "".join("    work();\n" for _ in range(lines - 2))
        return f"struct s {{\n    int a;\n}};\n\nint f(int a,\n      int b)\n{{\n{body}}}\n"

    complaints = []
    for lines in (FUNCTION_LINES, FUNCTION_LINES + 1):
        measured = functions(sample(lines) * 2)
        if [length for _, length in measured] != [lines, lines]:
            complaints.append(f"two functions of {lines} lines were measured as {measured}")
    return complaints


main()
