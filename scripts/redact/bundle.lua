-- Masks what must not leave: by the name of a field, and card numbers anywhere in a text.
name = "redact"
version = "1.0.0"
description = "Mask secrets in JSON before it goes on."

config = {
  to = "redacted",
  mask = "***",
  -- Compared in lower case and without '_' and '-', so that "api_key" finds "apiKey" as well.
  fields = { "password", "secret", "token", "authorization", "api_key", "card_number", "cvv" },
}
