#!/bin/sh
# The benchmark: everything in one run on this machine, servers pinned to one core and clients to
# another, rounds interleaved, medians as ratios; writes bench/RESULTS.md.
#   BENCH_SECONDS=6 BENCH_ROUNDS=3 sh bench/run.sh
set -eu
. "$(dirname "$0")/lib.sh"
out=bench/out/topics results=bench/RESULTS.md secret=bench-secret
bare_port=18080 nginx_port=18082 lax_port=18083
rm -rf "$out" && mkdir -p "$out"

# ---- build ----
cc -std=gnu17 -O2 bench/bare_mhd.c -o "$out/bare_mhd" $(pkg-config --cflags --libs libmicrohttpd libuv)
cc -std=gnu17 -O2 bench/gen_events.c -o "$out/gen_events" -lcrypto
cc -std=gnu17 -O2 bench/fanout.c -o "$out/fanout"

# ---- servers ----
start_bare() { $on_server "$out/bare_mhd" $bare_port & pids="$pids $!"; }
have_nginx=false
if command -v nginx >/dev/null && [ -e /usr/lib/nginx/modules/ngx_nchan_module.so ]; then
    have_nginx=true
    mkdir -p "$out/nginx" "$out/lax"
    cp bench/nginx/* "$out/nginx/"
    cp bench/nginx/* "$out/lax/"
    sed -i "s/:$nginx_port /:$lax_port /" "$out/lax/nginx.conf"
else
    log "nginx with Lua and nchan is not installed: going on without it"
fi
start_nginx() { # FOLDER DUPLICATES
    HOOK_SECRET=$secret HOOK_MAX_AGE_MS=3600000 HOOK_DUPLICATES=$2 $on_server nginx \
        -p "$PWD/$out/$1/" -c nginx.conf 2>"$out/$1.log" &
    nginx=$!
    pids="$pids $nginx"
}

# ---- (a) the full job, closed loop ----
start_bare
start_hookmoon
await_port $bare_port
await_port $hookmoon_port
servers="bare hookmoon"
if $have_nginx; then
    start_nginx nginx refused
    start_nginx lax ignored
    await_port $nginx_port
    await_port $lax_port
    servers="$servers nginx lax"
fi
count=$((seconds * 160000))
job() { # NAME PORT ROUND
    EVENTS=$out/events.bin FIRST=0 COUNT=$count $on_client wrk -t1 -c64 -d"${seconds}s" \
        -s bench/post.lua "http://127.0.0.1:$2/hooks/uppercase" >"$out/job.$1.$3"
    value rps "$out/job.$1.$3" >>"$out/job.$1"
    value p99_us "$out/job.$1.$3" >>"$out/p99.$1"
    [ "$(value non_2xx "$out/job.$1.$3")" = 0 ] && [ "$(value socket_errors "$out/job.$1.$3")" = 0 ] ||
        log "INVALID: $1 had errors: $(grep RESULT "$out/job.$1.$3")"
    [ "$(value wraps "$out/job.$1.$3")" = 0 ] || [ "$1" = bare ] ||
        log "INVALID: $1 got events twice"
    log "full job, round $3: $1 $(value rps "$out/job.$1.$3")/s"
}
stream() { # PORT PATH FILE: one subscriber that drains
    $on_client curl -sN -H 'Accept: text/event-stream' "http://127.0.0.1:$1$2" >"$3" &
    pids="$pids $!"
}
stream $hookmoon_port /topics/chat/topic2 "$out/stream.hookmoon"
if $have_nginx; then
    stream $nginx_port /sub/topic2 "$out/stream.nginx"
    stream $lax_port /sub/topic2 "$out/stream.lax"
fi
round=1
while [ $round -le "$rounds" ]; do
    # New events each round: none is run twice.
    "$out/gen_events" $secret $count >"$out/events.bin"
    for server in $servers; do
        eval "job $server \$${server}_port $round"
    done
    round=$((round + 1))
done
sleep 1
sent() { cat "$out"/job."$1".* | sed -n 's/^RESULT .*"requests":\([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n }'; }
for server in hookmoon nginx lax; do
    [ -e "$out/stream.$server" ] || continue
    grep -c '^data: .*HERE' "$out/stream.$server" >"$out/delivered.$server" || true
    # Answered a second, less what never reached the subscriber.
    awk -v rps="$(median <"$out/job.$server")" -v all="$(sent $server)" \
        -v got="$(cat "$out/delivered.$server")" \
        'BEGIN { printf "%.0f\n", got < all ? rps * got / all : rps }' >"$out/whole.$server"
    log "$server: $(sent $server) answered, $(cat "$out/delivered.$server") delivered to the subscriber"
done
bare=$(median <"$out/job.bare") moon=$(median <"$out/job.hookmoon")
peer=0 lax=0
if $have_nginx; then peer=$(median <"$out/job.nginx") lax=$(median <"$out/job.lax"); fi

# ---- where the time goes ----
profile="(perf is not available here)"
if command -v perf >/dev/null; then
    "$out/gen_events" $secret $count >"$out/events.bin"
    (sleep 1; perf record -o "$out/perf.data" -p $hookmoon -- sleep 2 >/dev/null 2>&1) &
    perf_pid=$!
    EVENTS=$out/events.bin COUNT=$count $on_client wrk -t1 -c64 -d4s -s bench/post.lua \
        "http://127.0.0.1:$hookmoon_port/hooks/uppercase" >/dev/null
    wait $perf_pid || true
    if [ -s "$out/perf.data" ]; then
        profile=$(perf report -i "$out/perf.data" --no-children --sort dso 2>/dev/null |
            awk '/%/ && !/^#/ { printf "%s %s\n", $1, $2 }' | head -8)
    fi
fi
cleanup
pids=""
sleep 1

# ---- (b) fan-out ----
subscribers=1000 messages=$((seconds * 250))
fan() { # NAME PORT SUB PUB ROUND
    $on_client "$out/fanout" run "$2" "$3" "$4" $subscribers $messages >"$out/fan.$1.$5" ||
        log "INVALID: $1 did not deliver everything: $(cat "$out/fan.$1.$5")"
    value rate "$out/fan.$1.$5" >>"$out/fan.$1"
    log "fan-out, round $5: $1 $(value rate "$out/fan.$1.$5") items/s"
}
start_hookmoon
await_port $hookmoon_port
if $have_nginx; then start_nginx nginx refused; await_port $nginx_port; fi
round=1
while [ $round -le "$rounds" ]; do
    fan hookmoon $hookmoon_port /topics/chat/fan$round /topics/chat/fan$round $round
    $have_nginx && fan nginx $nginx_port /fan/sub/fan$round /fan/pub/fan$round $round
    round=$((round + 1))
done
fan_moon=$(median <"$out/fan.hookmoon") fan_peer=0
$have_nginx && fan_peer=$(median <"$out/fan.nginx")
cleanup
pids=""
sleep 1

# ---- (c) memory and start ----
resident() { awk '/^(RssAnon|RssShmem)/ { n += $2 } END { print n }' "/proc/$1/status"; } # KiB
idle=2000
idle_bytes() { # PID PORT PATH
    before=$(resident "$1")
    rm -f "$out/fifo" && mkfifo "$out/fifo"
    $on_client "$out/fanout" hold "$2" "$3" $idle <"$out/fifo" >"$out/held" &
    holder=$!
    exec 3>"$out/fifo"
    tries=0
    until [ -s "$out/held" ] || [ $tries -gt 200 ]; do tries=$((tries + 1)); sleep 0.1; done
    sleep 1
    after=$(resident "$1")
    exec 3>&-
    wait $holder || true
    echo $(((after - before) * 1024 / idle))
}
start_hookmoon
await_port $hookmoon_port
moon_idle=$(idle_bytes $hookmoon $hookmoon_port /topics/chat/idle)
peer_idle=-
if $have_nginx; then
    start_nginx nginx refused
    await_port $nginx_port
    worker=$(pgrep -P $nginx | head -1)
    peer_idle=$(idle_bytes "$worker" $nginx_port /fan/sub/idle)
fi
cleanup
pids=""
sleep 1
bundles=200
mkdir -p "$out/bundles"
{
    echo 'open = true workers = 1 caches = { "chat" } scripts = "bundles" hooks = {'
    i=0
    while [ $i -lt $bundles ]; do
        cp bench/scripts/uppercase.lua "$out/bundles/b$i.lua"
        echo "b$i = { secret = \"$secret\" },"
        i=$((i + 1))
    done
    echo '}'
} >"$out/bundles.lua"
$on_server ./hookmoon serve -c "$out/bundles.lua" --listen 127.0.0.1:$hookmoon_port 2>"$out/bundles.log" &
hookmoon=$!
pids=$hookmoon
await_port $hookmoon_port
event() { # NUMBER
    now=$(date +%s%3N)
    body='{"cache":"chat","topic":"t","event_timestamp":'$now',"publish_timestamp":'$now',"topic_sequence_number":'$1',"token_id":"","text":"x"}'
    printf '%s' "$body" >"$out/body"
    curl -s -o /dev/null -H "momento-signature: $(./hookmoon sign --secret $secret <"$out/body")" \
        -H 'Content-Type: application/json' --data-binary @"$out/body" \
        "http://127.0.0.1:$hookmoon_port/hooks/b$1"
}
event 0
one=$(resident $hookmoon)
i=1
while [ $i -lt $bundles ]; do event $i; i=$((i + 1)); done
all=$(resident $hookmoon)
bundle_bytes=$(((all - one) * 1024 / (bundles - 1)))
lua_bytes=$(curl -s "http://127.0.0.1:$hookmoon_port/metrics" |
    sed -n 's/^hookmoon_script_memory_bytes{bundle="b7"} //p')
cleanup
pids=""
sleep 1
i=0
while [ $i -lt 10 ]; do
    "$out/fanout" ready $hookmoon_port ./hookmoon serve -c bench/hookmoon.lua \
        --listen 127.0.0.1:$hookmoon_port --log-level off >>"$out/ready"
    i=$((i + 1))
done
ready=$(median <"$out/ready")

# ---- the report ----
versions() {
    ./hookmoon version | tr '\n' ' ' | tr -s ' '
    $have_nginx && printf '· %s, ' "$(nginx -v 2>&1 | sed 's/.*: //')" &&
        dpkg-query -W -f '${Package} ${Version}, ' libnginx-mod-http-lua libnginx-mod-nchan
    dpkg-query -W -f '${Package} ${Version}' wrk
}
cat >$results <<END
# Benchmark

\`make bench\` writes this file. Machines are shared and noisy: only the ratios of one run mean something.

$(machine)
Versions: $(versions).
Settings: one worker each, servers pinned to core $((cores - 1)) and clients to core 0, $rounds rounds of $seconds s interleaved, medians.

## The full job

Authenticate (HMAC-SHA3-256), decode, check the event and that it is no duplicate, upper-case in Lua,
publish to a memory topic with one event-stream subscriber; 190-byte events, all different. \`wrk -t1 -c64 -d${seconds}s -s bench/post.lua\`

| server | answered/s | delivered/s | p99 | hookmoon's answered | hookmoon's delivered |
|---|---|---|---|---|---|
| hookmoon | $moon | $(cat "$out/whole.hookmoon") | $(median <"$out/p99.hookmoon") us | | |
| bare libmicrohttpd on libuv, answers \`ok\` | $bare | - | $(median <"$out/p99.bare") us | **$(ratio "$moon" "$bare")** of it (wanted: 0.6) | |
$($have_nginx && echo "| nginx + LuaJIT + nchan, the same job | $peer | $(cat "$out/whole.nginx") | $(median <"$out/p99.nginx") us | **$(ratio "$moon" "$peer")** times it (wanted: 2.5) | $(ratio "$(cat "$out/whole.hookmoon")" "$(cat "$out/whole.nginx")") times it |")
$($have_nginx && echo "| nginx + LuaJIT + nchan without refusing duplicates | $lax | $(cat "$out/whole.lax") | $(median <"$out/p99.lax") us | $(ratio "$moon" "$lax") times it | $(ratio "$(cat "$out/whole.hookmoon")" "$(cat "$out/whole.lax")") times it |")

All rounds, answered and delivered to the subscriber: hookmoon $(sent hookmoon) and $(cat "$out/delivered.hookmoon")$($have_nginx && echo ", nginx $(sent nginx) and $(cat "$out/delivered.nginx"), without refusing duplicates $(sent lax) and $(cat "$out/delivered.lax")").
$($have_nginx && echo "(nchan logs \"Missed message for eventsource subscriber\" for what it does not deliver, whatever its buffer's length.)")

## Fan-out

$messages messages of 100 bytes to $subscribers event-stream subscribers, all delivered. \`bench/out/fanout run\`

| server | items/s | hookmoon is |
|---|---|---|
| hookmoon | $fan_moon | |
$($have_nginx && echo "| nchan, EventSource | $fan_peer | **$(ratio "$fan_moon" "$fan_peer")** times it (wanted: 2) |")

## Memory and start

| | |
|---|---|
| an idle event-stream subscriber (RssAnon + RssShmem, $idle of them) | $moon_idle bytes$($have_nginx && echo "; nchan: $peer_idle") |
| a loaded bundle per worker ($bundles of them) | $bundle_bytes bytes, of which Lua's $lua_bytes |
| from exec to the first 200 of /ready (median of 10) | $ready ms |

## What limits us

Time of the worker during the full job, by where it is spent (\`perf record\`):

\`\`\`text
$profile
\`\`\`

About half is the kernel's: a read, a write and its way through the loopback for each request, which bare
libmicrohttpd pays as well. Of the rest, memory and copies (libc), the signature (libcrypto) and our own
checks and broker cost about the same; Lua is a few percent.
END
cat $results
