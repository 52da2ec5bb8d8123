-- string.dump makes the bytecode that an exploit needs.
-- fails: dump
function on_event()
  string.dump(on_event)
end
