-- fails: instruction
function on_event()
  string.gsub("xxx", "x", function() while true do end end)
end
