-- fails: memory
function on_event()
  local s = "x"
  while true do s = s:gsub(".", "%0%0") end
end
