-- Modules come from the bundle and the library, nowhere else.
-- fails: require
function on_event()
  require("../../../../etc/passwd")
end
