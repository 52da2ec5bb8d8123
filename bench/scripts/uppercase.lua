-- The smallest script: what arrives on one topic leaves on another in upper case.
-- (string.upper knows ASCII letters only; other letters pass as they are.)

function on_event(event)
  publish("topic2", event.text:upper())
end
