local walk = require "walk"

local function plain(name) return (name:lower():gsub("[_-]", "")) end

local hidden = {}
for _, name in ipairs(config.fields) do hidden[plain(name)] = true end

-- 13 to 19 digits, perhaps in groups, that pass the check of all card numbers (Luhn's).
local function is_card(digits)
  local sum, double = 0, false
  for i = #digits, 1, -1 do
    local d = digits:byte(i) - 48
    if double then d = d < 5 and d * 2 or d * 2 - 9 end
    sum, double = sum + d, not double
  end
  return #digits >= 13 and #digits <= 19 and sum % 10 == 0
end

local function mask_cards(text)
  return (text:gsub("%d[%d -]+%d", function(found)
    local digits = found:gsub("%D", "")
    return is_card(digits) and config.mask .. digits:sub(-4) or nil
  end))
end

function on_event(event)
  local ok, value = pcall(json.decode, event.text)
  if not ok then
    publish(config.to, mask_cards(event.text))
    return
  end
  publish(config.to, json.encode(walk.map(value, function(item, key)
    if type(key) == "string" and hidden[plain(key)] then return config.mask end
    return type(item) == "string" and mask_cards(item) or item
  end)))
end
