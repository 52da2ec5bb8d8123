-- fails: too large
function on_event()
  return string.packsize("s" .. ("j"):rep(1e7))
end
