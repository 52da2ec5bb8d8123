-- lua_resume could overflow the C stack (CVE-2021-43519).
-- fails: coroutine_tower.lua:4
function on_event()
  local function down(n) return coroutine.wrap(function() return down(n + 1) end)() end
  down(1)
end
