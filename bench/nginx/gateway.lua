-- The nginx peer's handler: what the gateway does for one webhook, in LuaJIT.
--
-- Tuned as one who knows both would: libcrypto through FFI (calls inside JIT traces), one keyed
-- EVP_MAC context per worker that is re-initialised without keying anew, no allocation for the
-- comparison, only the one header it needs read from the request.

local ffi = require "ffi"
local cjson = require "cjson"

local C, get_var, read_body, get_body = ffi.C, ngx.var, ngx.req.read_body, ngx.req.get_body_data
local capture, now, POST = ngx.location.capture, ngx.now, ngx.HTTP_POST
local decode, upper = cjson.decode, string.upper

ffi.cdef [[
typedef struct evp_mac_st EVP_MAC;
typedef struct evp_mac_ctx_st EVP_MAC_CTX;
typedef struct {
    const char *key; unsigned int data_type; void *data; size_t data_size; size_t return_size;
} OSSL_PARAM;
EVP_MAC *EVP_MAC_fetch(void *libctx, const char *algorithm, const char *properties);
EVP_MAC_CTX *EVP_MAC_CTX_new(EVP_MAC *mac);
int EVP_MAC_init(EVP_MAC_CTX *ctx, const unsigned char *key, size_t keylen, const OSSL_PARAM params[]);
int EVP_MAC_update(EVP_MAC_CTX *ctx, const unsigned char *data, size_t datalen);
int EVP_MAC_final(EVP_MAC_CTX *ctx, unsigned char *out, size_t *outl, size_t outsize);
int CRYPTO_memcmp(const void *a, const void *b, size_t len);
]]

local OSSL_PARAM_UTF8_STRING = 4
local MAC_BYTES, HEX_BYTES = 32, 64

local mac = ffi.new("unsigned char[?]", MAC_BYTES)
local mac_length = ffi.new("size_t[1]")
local hex = ffi.new("unsigned char[?]", HEX_BYTES)
local DIGITS = ffi.new("unsigned char[16]", "0123456789abcdef")
local rshift, band = bit.rshift, bit.band

-- Read before nginx forks: the worker inherits them.
local SECRET = os.getenv("HOOK_SECRET") or "bench-secret"
local MAX_AGE_MS = tonumber(os.getenv("HOOK_MAX_AGE_MS") or 60000)

local CHECK_DUPLICATES = os.getenv("HOOK_DUPLICATES") ~= "ignored"
local seen = ngx.shared.seen

local function is_event(e)
  return type(e) == "table" and type(e.cache) == "string" and type(e.topic) == "string"
    and type(e.event_timestamp) == "number" and type(e.publish_timestamp) == "number"
    and type(e.topic_sequence_number) == "number" and type(e.token_id) == "string"
    and type(e.text) == "string"
end

local context
local M = {}

-- Once per worker: fetch the algorithm, set the digest, set the key.
function M.start()
  local params = ffi.new("OSSL_PARAM[2]")
  local name, digest = "digest", "SHA3-256"
  params[0].key = name
  params[0].data_type = OSSL_PARAM_UTF8_STRING
  params[0].data = ffi.cast("void *", ffi.cast("const char *", digest))
  params[0].data_size = #digest
  context = C.EVP_MAC_CTX_new(C.EVP_MAC_fetch(nil, "HMAC", nil))
  assert(C.EVP_MAC_init(context, SECRET, #SECRET, params) == 1, "setting up HMAC-SHA3-256")
end

local function signature_matches(body, signature)
  if not signature or #signature ~= HEX_BYTES then return false end
  if C.EVP_MAC_init(context, nil, 0, nil) ~= 1 or C.EVP_MAC_update(context, body, #body) ~= 1
    or C.EVP_MAC_final(context, mac, mac_length, MAC_BYTES) ~= 1 then
    return false
  end
  for i = 0, MAC_BYTES - 1 do
    hex[2 * i] = DIGITS[rshift(mac[i], 4)]
    hex[2 * i + 1] = DIGITS[band(mac[i], 15)]
  end
  return C.CRYPTO_memcmp(hex, signature, HEX_BYTES) == 0
end

local function answer(status, json)
  ngx.status = status
  ngx.header.content_type = "application/json"
  ngx.header.content_length = #json -- else nginx would chunk it
  ngx.print(json)
end

function M.handle()
  read_body()
  local body = get_body()
  if not body then return answer(400, '{"code":"empty_body"}') end
  if not signature_matches(body, get_var.http_momento_signature) then
    return answer(401, '{"code":"bad_signature"}')
  end
  local ok, event = pcall(decode, body)
  if not ok or not is_event(event) then
    return answer(400, '{"code":"bad_event"}')
  end
  if now() * 1000 - event.publish_timestamp > MAX_AGE_MS then
    return answer(401, '{"code":"too_old"}')
  end
  -- No event runs twice. The signature stands for all of the body, so it is the cheapest key.
  if CHECK_DUPLICATES and not seen:add(get_var.http_momento_signature, true, MAX_AGE_MS / 1000) then
    return answer(200, '{"duplicate":true}')
  end
  local result = capture("/_publish", { method = POST, body = upper(event.text) })
  -- nchan: 201 with subscribers, 202 without.
  if result.status ~= 201 and result.status ~= 202 then
    return answer(502, '{"code":"publish_failed"}')
  end
  return answer(200, '{"status":"processed","published":1}')
end

return M
