-- The strings' metatable is shared within a state (Redis, CVE-2022-24735).
-- publishes: string X
function on_event()
  local m = getmetatable("")
  pcall(function() m.__index = { upper = function() return "changed" end } end)
  pcall(setmetatable, "", {})
  publish("t", type(m) .. " " .. ("x"):upper())
end
