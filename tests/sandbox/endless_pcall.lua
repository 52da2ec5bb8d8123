-- pcall swallows the error that stops the loop.
-- fails: instruction
function on_event()
  while true do pcall(function() while true do end end) end
end
