listen = "127.0.0.1:8080"
scripts = "scripts"
data = "data"
workers = 2
open = false
allow_open_public = true
log = { level = "info", format = "json" }
caches = { "chat", { name = "orders" } }
webhooks = {
  {
    cache = "chat",
    name = "uppercase",
    topic = "topic 1",
    url = "/hooks/uppercase",
    secret = env("SECRET"),
  },
  { cache = "orders", name = "b", topic = "t", url = "https://example.com/x", secret = "12345678" },
}
hooks = {
  uppercase = { secret = "12345678", max_age = "60s", max_future = "60s", body = "64k", rate = 100 },
  ["orders/refund"] = { secrets = { env("SECRET"), env("OLD", "87654321") } },
}
keys = {
  { id = "alice", key = (env("SECRET"):gsub(" ", "-")), role = "publishsubscribe", cache = "chat",
    topic = "room" },
  { id = "bob", key = "bob-12345678", role = "publishonly" },
  { id = "eve", key = "eve-12345678", role = "subscribeonly" },
}
limits = { body = "64k", message = "1m", header = "4k", connections = 10, subscribers = 10,
  topics = 10, retained_items = 10, retained = "16m", request_timeout = "10s", idle_timeout = "1m",
  heartbeat = "15s", stop_grace = "10s", json_depth = 64, script_memory = "32m",
  script_instructions = 50000000, script_deadline = "1s", script_publishes = 10,
  webhook_queue = 10, webhook_concurrency = 4, webhook_timeout = "5s" }
