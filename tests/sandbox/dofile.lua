-- fails: 'dofile'
function on_event()
  dofile("/etc/passwd")
end
