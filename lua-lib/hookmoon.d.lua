---@meta hookmoon
-- What scripts find in their globals, for the Lua language server (and people).

--- The event that a hook delivered.
---@class Event
---@field cache string
---@field topic string
---@field event_timestamp integer when the message was published, ms since 1970
---@field publish_timestamp integer when this delivery was sent, ms since 1970
---@field topic_sequence_number integer
---@field token_id string who published it; "" when unknown
---@field text string the message

--- Called for each event. What it publishes is published when it returns, all or (on an error)
--- nothing.
---@param event Event
function on_event(event) end

---@class PublishOptions
---@field cache? string another cache than the event's

--- Notes a message to be published when the handler returns.
---@param topic string
---@param msg string|table a table becomes JSON
---@param options? PublishOptions
function publish(topic, msg, options) end

--- The HTTP request that brought the event; read-only, fields are made when they are read.
---@class Request
---@field id string
---@field method string
---@field path string
---@field hook string the part behind the bundle's name, "" when there is none
---@field headers table<string, string> names in lower case
---@field query table<string, string>
---@field body string the raw body
request = {}

--- The `config` of the bundle's manifest; empty for a single file.
---@type table
config = {}

---@class json
---@field null lightuserdata JSON's null; equal to cjson.null
json = {}
--- Integers stay integers, arrays arrays (the empty one too); keys are sorted. Raises on what JSON
--- cannot say.
---@param value any
---@return string
function json.encode(value) end
--- Raises on what is not JSON.
---@param text string
---@return any
function json.decode(text) end
--- Marks `t` (a new table without one) as an array, so that it encodes as [] when it is empty.
---@param t? table
---@return table
function json.array(t) end

--- True for what json.decode made of an array, or json.array marked.
---@param t any
---@return boolean
function json.is_array(t) end

---@class log
log = {}
---@param ... any
function log.debug(...) end
---@param ... any
function log.info(...) end
---@param ... any
function log.warn(...) end
---@param ... any
function log.error(...) end
