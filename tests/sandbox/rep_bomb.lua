-- fails: too large
function on_event()
  return ("x"):rep(1 << 40)
end
