-- Hooks are set per coroutine.
-- fails: instruction
function on_event()
  coroutine.wrap(function() while true do end end)()
end
