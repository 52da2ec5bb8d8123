-- __close runs while a coroutine is closed.
-- fails: instruction
function on_event()
  local co = coroutine.create(function()
    local x <close> = setmetatable({}, { __close = function() while true do end end })
    coroutine.yield()
  end)
  coroutine.resume(co)
  coroutine.close(co)
  while true do end
end
