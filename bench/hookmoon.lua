-- What the benchmark serves: the job of bench/nginx, with the same checks.
open = true
workers = 1
scripts = "scripts"
data = "out/data"
caches = { "chat" }
hooks = { uppercase = { secret = "bench-secret", max_age = "1h" } }
limits = { subscribers = 20000, connections = 20000 }
