--- walk: going through a value as it came out of json.decode.
local walk = {}

--- A copy of `value` in which every item was passed through `change(item, key)`. Tables are passed
--- first themselves; when they come back unchanged, their items follow. Arrays stay arrays.
---@generic T
---@param value T
---@param change fun(item: any, key: string|integer|nil): any
---@return T
function walk.map(value, change)
  local function visit(item, key)
    local changed = change(item, key)
    if changed ~= item or type(item) ~= "table" then return changed end
    local copy = json.is_array(item) and json.array() or {}
    for k, v in pairs(item) do copy[k] = visit(v, k) end
    return copy
  end
  return visit(value, nil)
end

--- Calls `each(item, key)` for every value that is not a table.
---@param value any
---@param each fun(item: any, key: string|integer|nil)
function walk.leaves(value, each)
  local function visit(item, key)
    if type(item) ~= "table" then
      each(item, key)
      return
    end
    for k, v in pairs(item) do visit(v, k) end
  end
  visit(value, nil)
end

return walk
