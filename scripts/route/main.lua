-- The text is JSON or plain; only JSON has fields.
local function fields_of(text)
  local ok, value = pcall(json.decode, text)
  return ok and type(value) == "table" and value or {}
end

local function matches(rule, event, fields)
  if rule.topic and not event.topic:find(rule.topic) then return false end
  if rule.contains and not event.text:lower():find(rule.contains, 1, true) then return false end
  if rule.equals ~= nil and fields[rule.field] ~= rule.equals then return false end
  if rule.at_least then
    local value = fields[rule.field]
    if type(value) ~= "number" or value < rule.at_least then return false end
  end
  return true
end

function on_event(event)
  local fields = fields_of(event.text)
  local routed = false
  for _, rule in ipairs(config.rules) do
    if matches(rule, event, fields) then
      publish(rule.to, event.text)
      routed = true
    end
  end
  if not routed then publish(config.otherwise, event.text) end
end
