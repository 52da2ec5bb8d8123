-- Redis scripts could stop the collector.
-- fails: collectgarbage
function on_event()
  collectgarbage("stop")
  error(collectgarbage)
end
