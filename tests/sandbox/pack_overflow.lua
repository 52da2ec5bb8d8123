-- struct.pack's sizes overflowed (Redis, CVE-2018-11219, CVE-2020-14147).
-- fails: too large
function on_event()
  string.pack(("i16"):rep(1e7), table.unpack({}, 1, 200))
end
