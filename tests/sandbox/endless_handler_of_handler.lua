-- fails: instruction
function on_event()
  local function h() return xpcall(error, h) end
  while true do h() end
end
