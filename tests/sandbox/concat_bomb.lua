-- Doubling is thirty steps to a gigabyte.
-- fails: memory
function on_event()
  local s = "x"
  while true do s = s .. s end
end
