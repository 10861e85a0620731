"""The programs that are run: real ones, as Debian packages them, each at work that takes some tenths of a second.

A work is a command, and what it reads, which is made once. N is how much of it: smaller when instructions are
counted, which is fifty times slower. Nothing here is written for an allocator's sake but stress-ng's malloc stressor.
"""

import os
import random
import subprocess
import sys

BASH = r"""f() { local i s; for ((i = 0; i < $1; i++)); do x=word$i; s+=${x^^}; a[i]=$s; s=${s: -40}; done; }
declare -a a; for j in {1..10}; do f %d; done; for ((i = 0; i < %d; i++)); do y=$(echo "$i"); done; echo "${#a[@]} $y" """

STARTS = "for ((i = 0; i < %d; i++)); do /bin/true; done"

PERL = r"""my (%%h, @l); for my $i (1 .. %d) { my @w = map { "k" . ($i * $_ %% 9973) } 1 .. 9; $h{$_} .= "x$i" for @w;
push @l, join ",", @w; $h{$w[0]} = "" if length $h{$w[0]} > 500 } @l = sort @l; print scalar(@l), " ", scalar(keys %%h), "\n" """

PYTHON = r"""import json, collections, re
d = {str(i): {"name": "n%%d" %% i, "list": list(range(i %% 40)), "text": "abc" * (i %% 30)} for i in range(%d)}
t = json.dumps(d); e = json.loads(t)
q = collections.defaultdict(list)
for k, v in e.items():
    for w in re.findall("[a-z]+", v["text"]): q[w].append((k, v["name"]))
    q[v["name"][:3]].append(k)
print(len(t), len(q), sorted(q)[:3])"""

LUA = r"""local t = {} for i = 1, %d do local r = {id = i, name = "name" .. i, list = {}}
for j = 1, i %% 12 do r.list[j] = {j, tostring(i * j)} end t[i %% 20000] = r end
local n = 0 for _, r in pairs(t) do n = n + #r.list + #r.name end print(n)"""

NODE = r"""const a = []; for (let i = 0; i < %d; i++) a.push({id: i, name: 'n' + i, list: Array.from({length: i %% 20}, (_, j) => j)});
let t = JSON.stringify(a); const b = JSON.parse(t); const m = new Map(b.map(x => [x.name, x]));
const bufs = []; for (let i = 0; i < 20000; i++) { bufs.push(Buffer.alloc(i %% 9000)); if (bufs.length > 500) bufs.shift(); }
console.log(t.length, m.size, bufs.length)"""

SQL = """create table t(a integer primary key, b text, c int);
with recursive n(i) as (select 1 union all select i + 1 from n where i < %d) insert into t select i, hex(i * 7919), i %% 977 from n;
create index ib on t(b); create index ic on t(c); select count(*), sum(length(b)), max(b) from t;
update t set b = b || 'x' where c < 300; select c, count(*), group_concat(substr(b, 1, 3)) from t where c < 200 group by c order by 2 limit 3;
delete from t where c > 500; select count(*) from t x join t y on x.c = y.a;"""

# The server alone gets its memory from the allocator; its shell and client do not.
REDIS = r"""set -e; cd "$1"; rm -f redis.sock
LD_PRELOAD=$LOFT_BENCH_PRELOAD redis-server --port 0 --unixsocket "$1/redis.sock" --save '' --dir "$1" >/dev/null 2>&1 & server=$!
for ((i = 0; i < 200; i++)); do [ -S redis.sock ] && break; sleep 0.01; done
redis-benchmark -s redis.sock -q -n %d -r 50000 -P 32 -d 150 -t set,get,lpush,lpop,sadd,hset,zadd,mset >/dev/null
redis-cli -s redis.sock shutdown nosave >/dev/null 2>&1 || true; wait "$server" """

CPP = r"""#include <iostream>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>
#include <functional>
#include <algorithm>
int main(int c, char **v) { std::map<std::string, std::vector<std::string>> m;
for (int i = 0; i < c; i++) { m[v[i]].push_back(v[i]); }
std::unordered_map<int, std::function<int(int)>> f; f[1] = [](int x) { return x + 1; };
std::sort(m[v[0]].begin(), m[v[0]].end()); std::cout << m.size() << f[1](c) << "\n"; }
"""


class Work:
    """name; command: a function of N, giving the words; n: its N; counted_n: N when instructions are counted, 0: never;
    quick: run when a glance is wanted, too."""

    def __init__(self, name, command, n, counted_n, server=False, quick=False):
        self.name, self.command, self.n, self.counted_n, self.server = name, command, n, counted_n, server
        self.quick = quick


def python3():
    """The system's: one of the user's own has no test suite, or one of its own version."""
    return "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def works(folder, root):
    path = lambda name: os.path.join(folder, name)
    repository = path("repository")
    return [
        Work("200 short programs", lambda n: ["bash", "-c", STARTS % n], 200, 10, quick=True),
        Work("bash", lambda n: ["bash", "-c", BASH % (n, n // 30)], 6000, 600),
        Work("perl", lambda n: ["perl", "-e", PERL % n], 20000, 3000, quick=True),
        Work("python3", lambda n: [python3(), "-c", PYTHON % n], 25000, 2000),
        Work("python3, PYTHONMALLOC=malloc", lambda n: ["env", "PYTHONMALLOC=malloc", python3(), "-c", PYTHON % n], 25000, 2000,
             quick=True),
        Work("python3, its own tests", lambda n: [python3(), "-m", "test", "-q", "test_dict", "test_ordered_dict"],
             1, 0),
        Work("sqlite3", lambda n: ["sqlite3", ":memory:", SQL % n], 120000, 10000, quick=True),
        Work("lua5.4", lambda n: ["lua5.4", "-e", LUA % n], 60000, 10000, quick=True),
        Work("node", lambda n: ["node", "-e", NODE % n], 100000, 5000),
        Work("gcc", lambda n: ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-S", "-o", "/dev/null", f"-I{root}/include",
                               f"-I{root}/src", f"{root}/src/heap/pages.c"], 1, 1, quick=True),
        Work("g++", lambda n: ["g++", "-std=c++17", "-S", "-o", "/dev/null", path("program.cpp")], 1, 0),
        Work("git log -p", lambda n: ["git", "-C", repository, "log", "-p", "--stat", "-n", str(n)], 400, 50, quick=True),
        Work("git blame", lambda n: ["git", "-C", repository, "blame", "file0.txt"], 1, 1),
        Work("git repack", lambda n: ["git", "-C", repository, "-c", "pack.threads=1", "repack", "-adfq"], 1, 0),
        Work("jq", lambda n: ["jq", "[.[] | select(.id % 3 == 0) | {n: .name, s: (.list | add), t: (.text | length)}] | group_by(.s) | map(length)",
                              path("data%d.json" % n)], 30000, 3000, quick=True),
        Work("sort", lambda n: ["sort", "-S", "48M", path("lines%d.txt" % n)], 300000, 20000),
        Work("xz", lambda n: ["xz", "-kc", "-T1", path("lines20000.txt")], 1, 0),
        Work("redis-server, redis-benchmark", lambda n: ["bash", "-c", REDIS % n, "redis", folder], 40000, 0, True),
        Work("stress-ng --malloc", lambda n: ["stress-ng", "-q", "--seed", "1", "--malloc", "2", "--malloc-bytes", "64m", "--malloc-ops",
                                              str(n)], 20000, 0),
    ]


COMMITS = 700


def make_repository(folder):
    """A history of many commits to 60 files, the same every time."""
    randoms = random.Random(1)
    files = [[f"line {i} of file {f}, {randoms.random()}" for i in range(300)] for f in range(60)]
    out = []
    for commit in range(COMMITS):
        changed = range(60) if commit == 0 else randoms.sample(range(60), 3)
        message = f"change {commit}\n"
        out.append(f"commit refs/heads/main\nmark :{commit + 1}\ncommitter A <a@example.org> {1700000000 + commit * 60} +0000\n"
                   f"data {len(message)}\n{message}")
        for f in changed:
            for _ in range(8):
                files[f][randoms.randrange(len(files[f]))] = f"changed in {commit}, {randoms.random()}"
            text = "\n".join(files[f]) + "\n"
            out.append(f"M 100644 inline file{f}.txt\ndata {len(text)}\n{text}\n")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder], check=True)
    subprocess.run(["git", "-C", folder, "fast-import", "--quiet"], input="".join(out).encode(), check=True)


def prepare(folder):
    """Makes what the works read."""
    import json
    randoms = random.Random(2)
    for n in (3000, 30000):
        with open(os.path.join(folder, f"data{n}.json"), "w", encoding="ascii") as file:
            json.dump([{"id": i, "name": f"n{i}", "list": [randoms.randrange(9) for _ in range(i % 15)], "text": "t" * (i % 80)}
                       for i in range(n)], file)
    for n in (20000, 300000):
        with open(os.path.join(folder, f"lines{n}.txt"), "w", encoding="ascii") as file:
            file.writelines(f"{randoms.random()} {'w' * randoms.randrange(60)}\n" for _ in range(n))
    with open(os.path.join(folder, "program.cpp"), "w", encoding="ascii") as file:
        file.write(CPP)
    try:
        make_repository(os.path.join(folder, "repository"))
    except (OSError, subprocess.CalledProcessError):
        pass # git's works will fail, and say so
