-- Copies each message to several topics, and to other caches.
name = "fanout"
version = "1.0.0"
description = "Publish one message to many topics."

config = {
  targets = {
    { topic = "archive" },
    { topic = "search-index" },
    -- "%s" is the event's topic.
    { topic = "mirror/%s" },
    -- { topic = "audit", cache = "compliance" },
  },
}
