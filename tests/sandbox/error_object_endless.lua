-- fails: instruction
function on_event()
  error(setmetatable({}, { __tostring = function() while true do end end }))
end
