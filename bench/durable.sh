#!/bin/sh
# What keeping things on the disk costs: hooks and publishes against a memory cache, webhooks out
# against bare libcurl, the start with much on the disk, and acknowledged publishes against NATS
# JetStream; in one run on this machine, servers pinned to one core and clients to another, rounds
# interleaved, medians of the rounds' ratios; writes bench/RESULTS-durable.md.
#   BENCH_SECONDS=6 BENCH_ROUNDS=3 sh bench/durable.sh
#   PARTS="hooks publish out start jetstream" chooses; only a whole run writes the results.
set -eu
. "$(dirname "$0")/lib.sh"
out=bench/out/durable results=bench/RESULTS-durable.md secret=bench-secret
receiver_port=18080 nats_port=18085
parts=${PARTS:-hooks publish out start jetstream}
rm -rf "$out" && mkdir -p "$out"
wanted() { case " $parts " in *" $1 "*) true ;; *) false ;; esac; }
url=http://127.0.0.1:$hookmoon_port
published() { curl -s "$url/metrics" | sed -n 's/^hookmoon_items_published_total //p'; }
stop() { # waits: the next one uses its port and its data
    kill "$1"
    wait "$1" 2>/dev/null || true
}

# ---- build ----
cc -std=gnu17 -O2 bench/bare_mhd.c -o "$out/bare_mhd" $(pkg-config --cflags --libs libmicrohttpd libuv)
cc -std=gnu17 -O2 bench/gen_events.c -o "$out/gen_events" -lcrypto
cc -std=gnu17 -O2 bench/fanout.c -o "$out/fanout"
cc -std=gnu17 -O2 bench/acks.c -o "$out/acks"
cc -std=gnu17 -O2 bench/curl_multi.c -o "$out/curl_multi" $(pkg-config --cflags --libs libcurl libuv)

# ---- (a) the hook's full job ----
job() { # CACHE ROUND
    before=$(published)
    EVENTS=$out/events.$1 COUNT=$count $on_client wrk -t1 -c64 -d"${seconds}s" -s bench/post.lua \
        "$url/hooks/uppercase" >"$out/job.$1.$2"
    value rps "$out/job.$1.$2" >>"$out/job.$1"
    value p99_us "$out/job.$1.$2" >>"$out/p99.$1"
    [ "$(value non_2xx "$out/job.$1.$2")" = 0 ] && [ "$(value socket_errors "$out/job.$1.$2")" = 0 ] &&
        [ "$(value wraps "$out/job.$1.$2")" = 0 ] || log "INVALID: $(grep RESULT "$out/job.$1.$2")"
    # Each answer is an item; those under way when wrk left may have made some more.
    [ $(($(published) - before)) -ge "$(value requests "$out/job.$1.$2")" ] ||
        log "INVALID: fewer items than answers"
    log "hooks, round $2: $1 $(value rps "$out/job.$1.$2")/s"
}
if wanted hooks; then
    count=$((seconds * 90000))
    rm -rf bench/out/data
    start_hookmoon
    await_port $hookmoon_port
    round=1
    while [ $round -le "$rounds" ]; do
        for cache in chat disk; do
            "$out/gen_events" $secret $count $cache >"$out/events.$cache"
            job $cache $round
            rm "$out/events.$cache"
        done
        round=$((round + 1))
    done
    stop $hookmoon
fi

# ---- (b) publishes ----
acks() { # NAME MODE PORT PATH CONNECTIONS
    timeout $((seconds + 20)) $on_client "$out/acks" "$2" "$3" "$4" "$5" "$seconds" >"$out/acks.$1.$5.last" ||
        log "INVALID: $1: $(cat "$out/acks.$1.$5.last")"
    value rate "$out/acks.$1.$5.last" >>"$out/acks.$1.$5"
    value p99_us "$out/acks.$1.$5.last" >>"$out/acks_p99.$1.$5"
    log "publishes, $5 connections, round $round: $1 $(value rate "$out/acks.$1.$5.last")/s"
}
if wanted publish; then
    rm -rf bench/out/data
    start_hookmoon
    await_port $hookmoon_port
    round=1
    while [ $round -le "$rounds" ]; do
        for cache in chat disk; do acks $cache http $hookmoon_port /topics/$cache/t 256; done
        round=$((round + 1))
    done
    stop $hookmoon
fi

# ---- (c) and (d): a data directory with 900,000 items and 100,000 waiting deliveries ----
pending() { # DATA: the gateway of bench/pending.lua
    $on_server ./hookmoon serve -c bench/pending.lua --listen 127.0.0.1:$hookmoon_port --data "$1" \
        2>"$out/pending.log" &
    hookmoon=$!
    pids="$pids $hookmoon"
    await_port $hookmoon_port
}
delivered() {
    curl -s "$url/metrics" |
        sed -n 's/^hookmoon_webhook_deliveries_total{webhook="disk\/out",outcome="ok"} //p'
}
mono_ms() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; } # KiB
if wanted out || wanted start; then
    "$out/gen_events" $secret 10000 disk >"$out/events.fill"
    pending "$out/full"
    # wrk has no number of requests: more than enough time, and what comes twice is refused.
    EVENTS=$out/events.fill COUNT=10000 $on_client wrk -t1 -c64 -d12s -s bench/post.lua \
        "$url/hooks/uppercase" >"$out/fill"
    items=$(published)
    [ "$items" = 1000000 ] || log "INVALID: $items items instead of 1000000"
    stop $hookmoon
fi
if wanted out; then
    $on_client "$out/bare_mhd" $receiver_port &
    receiver=$!
    pids="$pids $receiver"
    await_port $receiver_port
    round=1
    while [ $round -le "$rounds" ]; do
        $on_server "$out/curl_multi" http://127.0.0.1:$receiver_port/ 32 "$seconds" >"$out/multi.last" ||
            log "INVALID: curl_multi: $(cat "$out/multi.last")"
        value rate "$out/multi.last" >>"$out/multi"
        rm -rf "$out/copy" && cp -r "$out/full" "$out/copy"
        pending "$out/copy"
        until [ "$(delivered)" -ge 5000 ] 2>/dev/null; do sleep 0.05; done
        from=$(delivered) since=$(mono_ms) last=$(mono_ms)
        until [ "$(delivered)" -ge 90000 ]; do
            sleep 0.1
            [ $(($(mono_ms) - last)) -lt 60000 ] || { log "INVALID: deliveries do not end"; break; }
        done
        awk -v n=$(($(delivered) - from)) -v ms=$(($(mono_ms) - since)) \
            'BEGIN { printf "%.0f\n", n * 1000 / ms }' >>"$out/sent"
        stop $hookmoon
        log "webhooks out, round $round: hookmoon $(tail -1 "$out/sent")/s, curl $(tail -1 "$out/multi")/s"
        round=$((round + 1))
    done
    stop $receiver
fi
start_ms() { # DATA
    "$out/fanout" ready $hookmoon_port ./hookmoon serve -c bench/pending.lua \
        --listen 127.0.0.1:$hookmoon_port --data "$1" --log-level off
}
memory() { # DATA NAME: when it is ready, and five seconds later
    pending "$1"
    resident $hookmoon >"$out/rss.$2"
    sleep 5
    resident $hookmoon >"$out/rss5.$2"
}
if wanted start; then
    start_ms "$out/full" >"$out/ready.clean"
    memory "$out/empty" empty
    stop $hookmoon
    start_ms "$out/empty" >"$out/ready.empty"
    memory "$out/full" full
    kill -9 $hookmoon
    wait $hookmoon 2>/dev/null || true
    start_ms "$out/full" >"$out/ready.killed"
    log "ready: empty $(cat "$out/ready.empty") ms, full $(cat "$out/ready.clean") ms, after SIGKILL $(cat "$out/ready.killed") ms"
fi

# ---- (e) acknowledged publishes, and JetStream's ----
start_nats() { # PORT FOLDER
    printf 'jetstream { store_dir: "%s" }\n' "$PWD/$out/$2" >"$out/$2.conf"
    $on_server env GOMAXPROCS=1 nats-server -a 127.0.0.1 -p $1 -c "$out/$2.conf" >"$out/$2.log" 2>&1 &
}
create_stream() { # PORT: by the protocol, as its command is not packaged
    body='{"name":"s","subjects":["t"],"storage":"file","num_replicas":1,"retention":"limits","discard":"old","max_msgs":-1,"max_bytes":-1,"max_age":0}'
    printf 'CONNECT {"verbose":false}\r\nSUB _INBOX.c 1\r\nPUB $JS.API.STREAM.CREATE.s _INBOX.c %d\r\n%s\r\n' \
        ${#body} "$body" | timeout 2 nc 127.0.0.1 $1 >"$out/nats.create" || true
    grep -q '"config"' "$out/nats.create" || log "INVALID: no stream: $(cat "$out/nats.create")"
}
if wanted jetstream; then
    rm -rf bench/out/data
    start_hookmoon
    await_port $hookmoon_port
    start_nats $nats_port nats
    nats=$!
    # The one that syncs: a file made in such a folder is written through to the disk, write by write.
    mkdir "$out/nats_sync" && chattr +S "$out/nats_sync"
    start_nats $((nats_port + 1)) nats_sync
    pids="$pids $nats $!"
    sleep 1
    create_stream $nats_port
    create_stream $((nats_port + 1))
    round=1
    while [ $round -le "$rounds" ]; do
        $on_server "$out/acks" disk "$out/append" 1 1 1 >"$out/append.last"
        value rate "$out/append.last" >>"$out/append.rate"
        for connections in 1 64 256; do
            acks disk_acks http $hookmoon_port /topics/disk/t $connections
            acks jetstream nats $nats_port t $connections
            acks jetstream_sync nats $((nats_port + 1)) t $connections
        done
        round=$((round + 1))
    done
    log "appending and fsync alone: $(median <"$out/append.rate")/s"
fi
[ "$parts" = "hooks publish out start jetstream" ] || exit 0

# ---- the report ----
m() { median <"$out/$1"; }
row() { # CONNECTIONS
    ours=$out/acks.disk_acks.$1
    echo "| $1 | $(m acks.disk_acks.$1) ($(m acks_p99.disk_acks.$1) us) | $(m append.rate) | $(paired "$ours" "$out/append.rate") | $(m acks.jetstream_sync.$1) ($(m acks_p99.jetstream_sync.$1) us) | **$(paired "$ours" "$out/acks.jetstream_sync.$1")** | $(m acks.jetstream.$1) | $(paired "$ours" "$out/acks.jetstream.$1") |"
}
cat >$results <<END
# Benchmark: what is kept on the disk

\`make bench BENCH=durable\` writes this file. Machines are shared and noisy: only the ratios of one run mean something.

$(machine)
Versions: $(./hookmoon version | tr '\n' ' ' | tr -s ' ')· $(nats-server --version).
Settings: one worker, servers pinned to core $((cores - 1)) and clients to core 0, $rounds rounds of $seconds s interleaved; figures are medians, "is" is the median of the rounds' ratios. The data is on $(df --output=fstype "$out" | tail -1); every acknowledgement waits for its fsync.

## Against a memory cache

| | disk | memory | disk is |
|---|---|---|---|
| a hook's full job (64 connections, as in RESULTS.md), a second | $(m job.disk) | $(m job.chat) | **$(paired "$out/job.disk" "$out/job.chat")** of it (wanted: 0.5) |
| its p99, us | $(m p99.disk) | $(m p99.chat) | |
| publishes over HTTP (256 connections, 100 bytes), a second | $(m acks.disk.256) | $(m acks.chat.256) | **$(paired "$out/acks.disk.256" "$out/acks.chat.256")** of it (wanted: 0.5) |
| their p99, us | $(m acks_p99.disk.256) | $(m acks_p99.chat.256) | |

## Webhooks out

100,000 deliveries that wait on the disk, signed, 32 at once, to bare libmicrohttpd, against libcurl's
multi interface on the same loop that posts one body again and again.

| | a second | |
|---|---|---|
| hookmoon | $(m sent) | **$(paired "$out/sent" "$out/multi")** of it (wanted: 0.5) |
| bare libcurl | $(m multi) | |

## The start

900,000 retained items and 100,000 deliveries that wait for a receiver which is down.

| | empty | full | full, after SIGKILL |
|---|---|---|---|
| from exec to the first 200 of /ready, ms | $(cat "$out/ready.empty") | **$(cat "$out/ready.clean")** | **$(cat "$out/ready.killed")** (wanted: 1000) |
| resident when ready, KiB | $(cat "$out/rss.empty") | $(cat "$out/rss.full") | |
| five seconds later, KiB | $(cat "$out/rss5.empty") | $(cat "$out/rss5.full") | |

## Acknowledged publishes

Each connection waits for the acknowledgement of each message of 100 bytes before it sends the next
(\`bench/acks.c\`), a second and (p99).

| connections | hookmoon, durable | one fsync after another | hookmoon is | JetStream, synchronous | hookmoon is | JetStream as it is | hookmoon is |
|---|---|---|---|---|---|---|---|
$(row 1)
$(row 64)
$(row 256)

"One fsync after another" appends 200 bytes to a file and syncs it, again and again, without a server:
as often as this disk can. Debian's NATS cannot be told to sync before it acknowledges (\`sync_interval:
always\` came with 2.10): "as it is", it acknowledges what is in the page cache, which a power cut
loses, and syncs every two minutes. "Synchronous" is the same server with its store in a folder whose
files the kernel writes through (\`chattr +S\`), which gives what \`always\` gives: a message is
acknowledged once it is on the disk.
END
cat $results
