-- debug.getregistry reaches everything.
-- fails: 'debug'
function on_event()
  debug.getregistry()
end
