listen = "127.0.0.1:99999"
workers = 1000
open = yes
logg = { level = "info" }
log = { level = "inof",
  format = "xml" }
caches = {
  "chat",
  "orders",
  "chat",
}
webhooks = {
  {
    cache = "chatt",
    name = "uppercase",
    topic = "topic 1",
    ulr = "/hooks/uppercase",
    secret = "short",
  },
  { cache = "chat", name = "a", topic = "t", url = "ftp://x",
    secret = env("NOT_THERE_AT_ALL") },
  "text",
}
hooks = {
  uppercase = {
    secret = "longenough",
    max_age = "60x",
    secrets = {
      env("HOME"),
      "tiny",
    },
  },
  ["orders/refund"] = {
    body = 9e99,
    rate = -1,
  },
  ["bad name"] = {},
  plain = 5,
}
limits = { body = "64q",
  message = "2g", connections = 0,
  script_deadlin = "1s" }
limits.heartbeat = true
local function key(id)
  return {
    id = id,
    key = "short",
    rolle = "x",
  }
end
keys = {
  key("alice"),
  key("alice"),
  { id = "b",
    key = "hello world hello",
    role = "admin",
    cache = "nope" },
}
