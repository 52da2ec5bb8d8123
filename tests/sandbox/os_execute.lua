-- fails: execute
function on_event()
  os.execute("id")
end
