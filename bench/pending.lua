-- A gateway with much on its disk: retained items, and deliveries that wait for a receiver.
open = true
workers = 1
scripts = "fill"
caches = { { name = "disk", retention = { items = 0, bytes = 0, age = "1d" } } }
hooks = { uppercase = { secret = "bench-secret", max_age = "1h" } }
webhooks = {
  { cache = "disk", name = "out", topic = "pending", url = "http://127.0.0.1:18080/",
    secret = "bench-secret", concurrency = 32 },
}
