-- A fresh coroutine a time must not be a fresh budget a time.
-- fails: instruction
function on_event()
  while true do coroutine.resume(coroutine.create(function() for i = 1, 1000 do end end)) end
end
