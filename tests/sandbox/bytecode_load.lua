-- Bytecode can corrupt the interpreter (Redis, CVE-2015-4335); there is nothing to load it with.
-- fails: 'load'
function on_event()
  load("\27Lua\x54\0\x19\x93\r\n\x1a\n", "x", "b")
end
