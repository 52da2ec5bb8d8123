-- fails: cjson
function on_event()
  local cjson = require("cjson")
  error(cjson.encode({ [1 << 40] = 1 }))
end
