-- Positions outside of the string.
-- fails: out of string
function on_event()
  string.unpack("i8", "12345678", math.mininteger)
  string.unpack("i8", "x", 1 << 62)
end
