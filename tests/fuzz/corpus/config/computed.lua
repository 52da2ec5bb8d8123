caches = {}
for i, name in ipairs { "a", "b", "c" } do
  caches[i] = name .. tostring(i):rep(2)
end
local function key(id, role)
  return { id = id, key = string.format("%s-%08d", id, #id), role = role or "publishonly" }
end
keys = { key "a", key("b", "subscribeonly") }
table.sort(keys, function(x, y) return x.id < y.id end)
table.insert(keys, key("c"))
limits = { body = math.max(1024, 2048) }
for k, v in pairs(limits) do assert(type(k) == "string" and tonumber(v)) end
open = select("#", table.unpack(caches)) == 2
