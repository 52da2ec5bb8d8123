-- Nesting overflowed the stack (Redis' cjson, CVE-2018-11218).
-- fails: deeper
function on_event()
  json.decode(("["):rep(60000))
end
