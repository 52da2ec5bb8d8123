-- fails: require
function on_event()
  require("/etc/passwd")
end
