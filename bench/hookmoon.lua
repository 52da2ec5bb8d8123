-- What the benchmark serves: the job of bench/nginx, with the same checks. The peers keep nothing on
-- the disk, so what is compared with them does not either; "disk" is for durable.sh.
open = true
workers = 1
scripts = "scripts"
data = "out/data"
caches = { { name = "chat", durability = "memory" }, "disk" }
hooks = { uppercase = { secret = "bench-secret", max_age = "1h" } }
limits = { subscribers = 20000, connections = 20000 }
