-- One index makes a giant array (CVE-2022-24834).
-- fails: has a hole
function on_event()
  json.encode({ [1 << 40] = 1 })
  error(json.encode({ 1, [1 << 31] = 1 }))
end
