local s = ("a"):rep(100)
local y = s:find(("a*"):rep(50) .. "b")