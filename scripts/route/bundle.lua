-- Sends each message to the topics whose rules it meets.
name = "route"
version = "1.0.0"
description = "Route messages by topic and content."

config = {
  -- A message goes to every rule that it meets; `otherwise` takes what no rule wanted.
  -- topic: a Lua pattern for the event's topic. field/equals: a value in the JSON text.
  rules = {
    { topic = "^orders/", field = "status", equals = "paid", to = "shipping" },
    { topic = "^orders/", field = "status", equals = "refunded", to = "accounting" },
    { topic = "^orders/", field = "total", at_least = 1000, to = "large-orders" },
    { contains = "urgent", to = "alerts" },
  },
  otherwise = "unrouted",
}
