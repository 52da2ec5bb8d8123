-- fails: instruction
function on_event()
  while true do log.info(("x"):rep(100)) end
end
