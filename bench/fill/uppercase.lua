-- Fills a data directory quickly: of each event's hundred items ten have a webhook.
function on_event(event)
  for i = 1, 90 do publish("kept", event.text) end
  for i = 1, 10 do publish("pending", event.text) end
end
