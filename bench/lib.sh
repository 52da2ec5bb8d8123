# What the parts of the benchmark share; sourced by each.
cd "$(dirname "$0")/.."
seconds=${BENCH_SECONDS:-6} rounds=${BENCH_ROUNDS:-3}
cores=$(nproc)
[ "$cores" -ge 2 ] || { echo "bench: two cores are needed" >&2; exit 1; }
on_server="taskset -c $((cores - 1))" on_client="taskset -c 0"
hookmoon_port=18081
pids=""
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"

cleanup() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
}
trap cleanup EXIT
log() { echo "bench: $*" >&2; }

start_hookmoon() {
    $on_server ./hookmoon serve -c bench/hookmoon.lua --listen 127.0.0.1:$hookmoon_port "$@" \
        2>"$out/hookmoon.log" &
    hookmoon=$!
    pids="$pids $hookmoon"
}
await_port() {
    tries=0
    until curl -s -o /dev/null "http://127.0.0.1:$1/ready"; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { log "nothing listens on port $1"; cat "$out"/*.log >&2; exit 1; }
        sleep 0.1
    done
}
# Figures out of RESULT lines; a list's median.
value() { sed -n "s/^RESULT .*\"$1\":\([0-9.-]*\).*/\1/p" "$2"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
# Of two lists, one line a round: the median of the rounds' ratios. What disturbs a machine lasts
# longer than a round, and so weighs on both sides of it.
paired() { paste "$1" "$2" | awk '$2 > 0 { print $1 / $2 }' | median | awk '{ printf "%.2f", $1 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else print "-" }'; }
machine() {
    echo "Machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $cores cores, Linux $(uname -r), $(. /etc/os-release && echo "$PRETTY_NAME")."
}
