-- Debian's Redis left `package` behind (CVE-2022-0543).
-- fails: 'package'
function on_event()
  package.loadlib("/lib/x86_64-linux-gnu/libc.so.6", "system")
end
