-- fails: memory limit
function on_event()
  local function f() return 1 + f() end
  f()
end
