-- __gc runs when the state is closed, past every limit (CVE-2021-44964).
-- fails: __gc
function on_event()
  setmetatable({}, { __gc = function() while true do end end })
  error("__gc was taken")
end
