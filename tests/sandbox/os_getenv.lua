-- Secrets live in the environment.
-- fails: getenv
function on_event()
  os.getenv("HOME")
end
