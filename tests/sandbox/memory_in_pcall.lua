-- The memory error is swallowed, again and again.
-- fails: limit exceeded
function on_event()
  while true do
    pcall(function() local t = {} for i = 1, math.huge do t[i] = ("x"):rep(1000) end end)
  end
end
