local bad = "tiny"
hooks = { a = {
    secrets = { -- comment
      "longenough", -- one
      env("NOPE", "tiny"),
      bad,
      -- "commented",
      "tiny" } } }
caches = { "a", "b",

  "a",
  -- }
  "b"
}
keys =
{
  {
    id = "x" },
  { id = "y"
  }, {
    key = "12345678" },
  {},
}
