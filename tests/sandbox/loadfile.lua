-- fails: 'loadfile'
function on_event()
  loadfile("/etc/passwd")
end
