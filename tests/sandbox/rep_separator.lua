-- fails: too large
function on_event()
  return (""):rep(1 << 40, "xxxxxxxx")
end
