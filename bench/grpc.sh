#!/bin/sh
# gRPC: publishing against nghttp2's own server, items and latency against NATS; in one run on this
# machine, servers pinned to one core and clients to another, rounds interleaved, medians as ratios;
# writes bench/RESULTS-grpc.md.
#   BENCH_SECONDS=6 BENCH_ROUNDS=3 sh bench/grpc.sh
set -eu
. "$(dirname "$0")/lib.sh"
out=bench/out/grpc results=bench/RESULTS-grpc.md
nghttpd_port=18084 nats_port=18085
rm -rf "$out" && mkdir -p "$out/www"
cc -std=gnu17 -O2 bench/latency.c -o "$out/latency" $(pkg-config --cflags --libs libnghttp2)

start_hookmoon
await_port $hookmoon_port
curl -s -o /dev/null -H 'Content-Type: application/json' -d '{"name":"c","durability":"memory"}' \
    "http://127.0.0.1:$hookmoon_port/admin/caches" # the name that latency.c uses

# ---- (a) unary publish ----
path=/cache_client.pubsub.Pubsub/Publish
# A prefix of five bytes, cache "c", topic "t", text of 100 bytes.
printf '\000\000\000\000\156\012\001c\022\001t\032\146\012\144%0100d' 0 >"$out/request"
# What the other one answers with, as large as our answer's frames.
printf '\000\000\000\000\000' >"$out/www/file"
$on_server nghttpd --no-tls -n1 -d "$PWD/$out/www" $nghttpd_port >"$out/nghttpd.log" 2>&1 &
nghttpd=$!
pids="$pids $nghttpd"
printf 'wrk.method = "POST" wrk.body = ("0"):rep(100) wrk.headers["Content-Type"] = "text/plain"\n' \
    >"$out/publish.lua"
sleep 1
items() {
    curl -s "http://127.0.0.1:$hookmoon_port/metrics" |
        sed -n 's/^hookmoon_items_published_total //p'
}
cpu_ms() { awk -v tick="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1000 / tick }' "/proc/$1/stat"; }
unary() { # NAME PORT PATH ROUND PID
    used=$(cpu_ms "$5")
    $on_client h2load -c 10 -m 32 -t 1 -D "$seconds" --warm-up-time=1 -d "$out/request" \
        -H 'content-type: application/grpc' -H 'te: trailers' "http://127.0.0.1:$2$3" \
        >"$out/unary.$1.$4" 2>&1
    grep -q ' 0 failed, 0 errored, 0 timeout' "$out/unary.$1.$4" ||
        log "INVALID: $1 had errors: $(grep '^requests' "$out/unary.$1.$4")"
    sed -n 's/^finished in .*, \([0-9.]*\) req.*/\1/p' "$out/unary.$1.$4" >>"$out/unary.$1"
    answers=$(sed -n 's/^status codes: \([0-9]*\) 2xx.*/\1/p' "$out/unary.$1.$4")
    # The warm-up's second is in what was used, so it is in what it is divided by.
    awk -v used="$(cpu_ms "$5")" -v before="$used" -v n="$answers" -v s="$seconds" \
        'BEGIN { printf "%.2f\n", (used - before) * 1000 / (n * (s + 1) / s) }' >>"$out/cpu.$1"
    log "unary, round $4: $1 $(tail -1 "$out/unary.$1")/s, $(tail -1 "$out/cpu.$1") us of the server each"
}
# h2load counts every 200, whatever grpc-status says: that each answer was a publish shows in what was
# published, and only for a given number of requests, as a timed run has a warm-up besides.
each_publishes() { # ROUND
    before=$(items)
    $on_client h2load -n 10000 -c 10 -m 32 -t 1 -d "$out/request" -H 'content-type: application/grpc' \
        -H 'te: trailers' "http://127.0.0.1:$hookmoon_port$path" >"$out/each.$1" 2>&1
    n=$(($(items) - before))
    [ $n -eq 10000 ] || log "INVALID: 10000 answers, but $n published"
}
round=1
while [ $round -le "$rounds" ]; do
    each_publishes $round
    unary hookmoon $hookmoon_port $path $round $hookmoon
    [ "$(curl -s "http://127.0.0.1:$hookmoon_port/metrics" |
        grep '^hookmoon_grpc_calls_total{method="Publish"' | grep -cv 'status="OK"')" = 0 ] ||
        log "INVALID: a publish was refused"
    unary nghttpd $nghttpd_port /file $round $nghttpd
    $on_client wrk -t1 -c64 -d"${seconds}s" -s "$out/publish.lua" \
        "http://127.0.0.1:$hookmoon_port/topics/c/t" >"$out/http.$round"
    sed -n 's/^Requests\/sec: *//p' "$out/http.$round" >>"$out/unary.http"
    log "unary, round $round: HTTP/1.1 $(tail -1 "$out/unary.http")/s"
    round=$((round + 1))
done

# ---- (b) items and latency ----
$on_server env GOMAXPROCS=1 nats-server -a 127.0.0.1 -p $nats_port >"$out/nats.log" 2>&1 &
nats=$!
pids="$pids $nats"
sleep 1
many() { # NAME PORT MODE AMOUNT ROUND PID
    used=$(cpu_ms "$6")
    timeout $((seconds + 20)) $on_client "$out/latency" "$1" "$2" "$3" "$4" "$seconds" \
        >"$out/$3.$1.$5" || log "INVALID: $1 did not deliver everything: $(cat "$out/$3.$1.$5")"
    for figure in rate p50_us p99_us; do
        value $figure "$out/$3.$1.$5" >>"$out/$3.$1.$figure"
    done
    awk -v used="$(cpu_ms "$6")" -v before="$used" -v n="$(value delivered "$out/$3.$1.$5")" \
        'BEGIN { printf "%.3f\n", (n > 0 ? (used - before) * 1000 / n : 0) }' >>"$out/$3.$1.cpu_us"
    log "$3 $4, round $5: $1 $(cat "$out/$3.$1.$5")"
}
round=1
while [ $round -le "$rounds" ]; do
    many hookmoon $hookmoon_port rate 1000 $round $hookmoon
    many nats $nats_port rate 1000 $round $nats
    many hookmoon $hookmoon_port window 64 $round $hookmoon
    many nats $nats_port window 64 $round $nats
    round=$((round + 1))
done
of() { median <"$out/$1"; }

# ---- the report ----
cat >$results <<END
# Benchmark of gRPC

\`make bench\` writes this file. Machines are shared and noisy: only the ratios of one run mean something.

$(machine)
Versions: $(./hookmoon version | tr '\n' ' ' | tr -s ' ')· $(dpkg-query -W -f '${Package} ${Version}, ' nghttp2-client nghttp2-server nats-server)$(dpkg-query -W -f '${Package} ${Version}' wrk).
Settings: one worker each, servers pinned to core $((cores - 1)) and clients to core 0, $rounds rounds of $seconds s interleaved, medians.

## Publishing

A publish of 100 bytes to a memory topic. \`h2load -c 10 -m 32 -t 1\`, the same request for both; \`wrk -t1 -c64\`.

| | requests/s | gRPC is | the server's CPU time for each |
|---|---|---|---|
| hookmoon, Publish over gRPC | $(of unary.hookmoon) | | $(of cpu.hookmoon) us |
| nghttpd, a file of five bytes | $(of unary.nghttpd) | **$(ratio "$(of unary.hookmoon)" "$(of unary.nghttpd)")** of it (wanted: 0.5) | $(of cpu.nghttpd) us |
| hookmoon, POST /topics over HTTP/1.1 | $(of unary.http) | $(ratio "$(of unary.hookmoon)" "$(of unary.http)") times it | |

Where the rates are alike and the CPU times are not, it is h2load that was at its limit.

## Items and latency

100 subscriptions on 10 connections, messages of 64 bytes, all delivered; the same client for both,
\`bench/out/grpc/latency\`. Items a second: 64 messages under way at once. Latency: from publish to item, at
1,000 messages a second, so 100,000 items.

| | items/s | the server's CPU time for each | p50 | p99 |
|---|---|---|---|---|
| hookmoon, gRPC | $(of window.hookmoon.rate) | $(of window.hookmoon.cpu_us) us | $(of rate.hookmoon.p50_us) us | $(of rate.hookmoon.p99_us) us |
| NATS core | $(of window.nats.rate) | $(of window.nats.cpu_us) us | $(of rate.nats.p50_us) us | $(of rate.nats.p99_us) us |
| hookmoon to NATS | $(ratio "$(of window.hookmoon.rate)" "$(of window.nats.rate)") | $(ratio "$(of window.hookmoon.cpu_us)" "$(of window.nats.cpu_us)") | **$(ratio "$(of rate.hookmoon.p50_us)" "$(of rate.nats.p50_us)")** (wanted: at most 2) | **$(ratio "$(of rate.hookmoon.p99_us)" "$(of rate.nats.p99_us)")** (wanted: at most 2) |

Items a second times CPU time is the share of its core that a server used. Well below 1, it was the client
that was at its limit, and the servers compare by their CPU time.

Here every item has a number, a page and a publisher, is kept for those who come back, and the publisher
is told that it was accepted; NATS core forgets it and answers nothing.
END
log "wrote $results"
