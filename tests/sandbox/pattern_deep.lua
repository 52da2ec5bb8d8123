-- Matching recurses in C.
-- fails: pattern too complex
function on_event()
  local s = ("x"):rep(300000)
  s:match((".-"):rep(250000) .. "y")
end
