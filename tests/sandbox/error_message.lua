-- A message that grows while it is made (CVE-2022-33099).
-- fails: memory limit
function on_event()
  local s = ("x"):rep(1 << 20)
  error(s)
end
