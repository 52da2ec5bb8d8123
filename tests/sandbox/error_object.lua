-- The error is no string, and its __tostring fails.
-- fails: again
function on_event()
  error(setmetatable({}, { __tostring = function() error("again") end }))
end
