-- fails: 'io'
function on_event()
  io.popen("id"):read("a")
end
