-- A NUL cuts a name short in C.
-- fails: has a NUL in it
function on_event()
  require("json\0/../x")
end
