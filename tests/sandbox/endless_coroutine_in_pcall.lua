-- fails: instruction
function on_event()
  while true do
    pcall(coroutine.wrap(function() while true do end end))
  end
end
