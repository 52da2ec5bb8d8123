-- A chat room's messages, word by word, to one topic per language: room-281 -> room-281/es, ...
name = "translate-chat"
version = "1.0.0"
description = "Translate a chat room by dictionary."

config = { languages = { "de", "es", "fr" } }
