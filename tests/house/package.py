"""The installed library can be found and used: by CMake's find_package and by pkg-config, as a
shared and as a static library."""

import os
import shutil
import tempfile

from house import ARGS, Skip, main, rule, run

PROGRAM = """#include <loft/loft.h>
#include <stdio.h>
int main(void)
{
    printf("%s\\n", loft_version());
    return 0;
}
"""

PROJECT = """cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(loft {version} REQUIRED)
foreach(kind IN ITEMS shared static loft)
  add_executable(user_${{kind}} user.c)
  target_link_libraries(user_${{kind}} PRIVATE loft::${{kind}})
endforeach()
"""


class Prefix:
    """The library, installed into a temporary folder."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="loft-test.")
        self.prefix = os.path.join(self.folder, "prefix")
        code, text = run([ARGS.cmake, "--install", ARGS.build, "--prefix", self.prefix])
        if code != 0:
            raise AssertionError(f"it cannot be installed: {text}")
        with open(os.path.join(self.folder, "user.c"), "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def version(self):
        path = os.path.join(self.prefix, "include", "loft", "version.h")
        with open(path, encoding="utf-8") as file:
            return next(line.split('"')[1] for line in file if "LOFT_VERSION_TEXT " in line)

    def library_folder(self):
        for folder, _, names in os.walk(self.prefix):
            if "libloft.a" in names:
                return folder
        raise AssertionError("no libloft.a was installed")


def is_sanitized():
    with open(os.path.join(ARGS.build, "CMakeCache.txt"), encoding="utf-8") as file:
        return any(line.startswith("LOFT_SANITIZE:") and line.strip().split("=", 1)[1] or
                   line.startswith("LOFT_COVERAGE:") and line.strip().endswith("ON")
                   for line in file)


def runs(prefix, path):
    code, text = run([path], env={**os.environ, "LD_LIBRARY_PATH": prefix.library_folder()})
    if code != 0 or text.strip() != prefix.version():
        return [f"{os.path.basename(path)} ended with {code} and said: {text}"]
    return []


@rule
def cmake_finds_it():
    """find_package(loft) with the installed version"""
    if is_sanitized():
        raise Skip("a sanitized or counted library needs its users compiled alike")
    with Prefix() as prefix:
        with open(os.path.join(prefix.folder, "CMakeLists.txt"), "w", encoding="utf-8") as file:
            file.write(PROJECT.format(version=prefix.version()))
        build = os.path.join(prefix.folder, "build")
        for command in ([ARGS.cmake, "-S", prefix.folder, "-B", build,
                         "-DCMAKE_PREFIX_PATH=" + prefix.prefix],
                        [ARGS.cmake, "--build", build]):
            code, text = run(command)
            if code != 0:
                return [text]
        return [line for kind in ("shared", "static", "loft")
                for line in runs(prefix, os.path.join(build, "user_" + kind))]


@rule
def pkg_config_finds_it():
    """pkg-config --cflags --libs loft"""
    if is_sanitized():
        raise Skip("a sanitized or counted library needs its users compiled alike")
    if not shutil.which("pkg-config"):
        raise Skip("there is no pkg-config")
    with Prefix() as prefix:
        where = {**os.environ,
                 "PKG_CONFIG_PATH": os.path.join(prefix.library_folder(), "pkgconfig")}
        code, flags = run(["pkg-config", f"--define-variable=prefix={prefix.prefix}", "--cflags",
                           "--libs", f"loft = {prefix.version()}"], env=where)
        if code != 0:
            return [flags]
        program = os.path.join(prefix.folder, "user")
        code, text = run([ARGS.cc, os.path.join(prefix.folder, "user.c"), "-o", program,
                          *flags.split()])
        return [text] if code != 0 else runs(prefix, program)


main()
