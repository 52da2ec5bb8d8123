-- fails: nested
function on_event()
  require("cjson").decode(("["):rep(60000))
end
