#!/bin/sh
# The whole story, played against a gateway on a free port: a subscriber waits on "topic 2", "a value"
# is published to "topic 1", its webhook calls the gateway's own hook, the script publishes "A VALUE".
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
gateway="" subscriber=""
finish() {
    [ -z "$subscriber" ] || kill "$subscriber" 2>/dev/null || true
    [ -z "$gateway" ] || kill "$gateway" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
fail() {
    echo "demo: $1; the gateway's log:" >&2
    cat "$work/log" >&2
    exit 1
}
# Waits until a command succeeds.
await() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || return 1
        sleep 0.05
    done
}
# A field of the first log line that has a text in it.
field() {
    sed -n "/\"message\":\"$1\"/{s/.*\"$2\":\"\{0,1\}\([^\",]*\).*/\1/p;q;}" "$work/log"
}

HOOKMOON_SECRET=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export HOOKMOON_SECRET
./hookmoon serve --print-config >"$work/hookmoon.lua"
./hookmoon serve -c "$work/hookmoon.lua" --scripts scripts --listen 127.0.0.1:0 --log-format json \
    --log-level debug 2>"$work/log" &
gateway=$!
await grep -q '"listening"' "$work/log" || fail "the gateway did not start"
url=$(field listening url)
echo "gateway      $url, cache \"chat\", webhook \"topic 1\" -> /hooks/uppercase"

./hookmoon subscribe chat "topic 2" --url "$url" --count 1 --timeout 20 >"$work/out" &
subscriber=$!
await grep -q '"stream opened"' "$work/log" || fail "the subscriber did not connect"
echo "subscriber   waits on \"topic 2\""
echo "publisher    \"a value\" -> \"topic 1\""
./hookmoon publish chat "topic 1" "a value" --url "$url" || fail "the publish failed"
wait "$subscriber" || fail "nothing arrived"
subscriber=""
got=$(cat "$work/out")
echo "subscriber   got \"$got\" from \"topic 2\""
[ "$got" = "A VALUE" ] || fail "it should be \"A VALUE\""
await grep -q '"webhook delivered"' "$work/log" || fail "the delivery was not confirmed"

echo
echo "hop                                                           took"
for hop in "published:webhook sent:published to \"topic 1\" -> webhook sent" \
    "webhook sent:hook accepted:webhook sent -> hook checked, script run, published" \
    "hook accepted:sent to a subscriber:published to \"topic 2\" -> sent to the subscriber" \
    "published:sent to a subscriber:all of it"; do
    from=${hop%%:*} rest=${hop#*:}
    to=${rest%%:*} label=${rest#*:}
    printf '%s %s %s\n' "$(field "$from" time)" "$(field "$to" time)" "$label" |
        awk '{ a = seconds($1); b = seconds($2); sub(/^[^ ]+ [^ ]+ /, "");
               if (b < a) b += 86400; printf "  %-56s %6.0f us\n", $0, (b - a) * 1e6 }
             function seconds(t,  p) { split(substr(t, 12), p, ":");
               return p[1] * 3600 + p[2] * 60 + p[3] }'
done
kill "$gateway"
wait "$gateway" || fail "the gateway did not end well"
gateway=""
