local dictionary = require "dictionary"

-- Keeps the case of the first letter; the rest is the dictionary's.
local function translate(word, words)
  local found = words[word:lower()]
  if not found then return word end
  if word:find("^%u") and word ~= "I" then return found:sub(1, 1):upper() .. found:sub(2) end
  return found
end

function on_event(event)
  for _, language in ipairs(config.languages) do
    local words = dictionary[language]
    publish(event.topic .. "/" .. language, {
      from = event.token_id,
      language = language,
      text = (event.text:gsub("%a+", function(word) return translate(word, words) end)),
    })
  end
end
