function on_event(event)
  for _, target in ipairs(config.targets) do
    local topic = target.topic:gsub("%%s", (event.topic:gsub("%%", "%%%%")))
    publish(topic, event.text, { cache = target.cache })
  end
end
