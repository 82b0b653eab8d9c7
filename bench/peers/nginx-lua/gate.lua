-- Token and sender of one request: the digest in the shared dictionary, else in Redis, where it stands with the domains
-- that it may send as. What Redis said is believed for five seconds: a deleted token works on so long.
local cjson = require("cjson.safe")
local redis = require("nginx.redis")
local ffi = require("ffi")

ffi.cdef("unsigned char *SHA256(const unsigned char *d, size_t n, unsigned char *md);")
local digest_buffer = ffi.new("unsigned char[32]")
local believed_seconds = 5
local unknown = ""

local gate = {}

local function digest_of(token)
  ffi.C.SHA256(token, #token, digest_buffer)
  return ngx.encode_base64(ffi.string(digest_buffer, 32))
end

local function ask_redis(key)
  local connection = redis:new()
  connection:set_timeout(1000)
  local connected, problem = connection:connect("127.0.0.1", tonumber(ngx.var.redis_port))
  if not connected then return nil, problem end
  if connection:get_reused_times() == 0 then
    local authorised, refused = connection:auth(ngx.var.redis_password)
    if not authorised then return nil, refused end
  end
  local domains, failed = connection:get(key)
  if failed then return nil, failed end
  connection:set_keepalive(10000, 100)
  if domains == ngx.null then return unknown end
  return domains
end

local function domains_of(token)
  local key = digest_of(token)
  local kept = ngx.shared.tokens:get(key)
  if kept ~= nil then return kept end
  local domains, problem = ask_redis(key)
  if domains == nil then
    ngx.log(ngx.ERR, "redis: ", problem)
    return ngx.exit(503)
  end
  ngx.shared.tokens:set(key, domains, believed_seconds)
  return domains
end

function gate.check()
  local token = ngx.re.match(ngx.var.http_authorization or "", "^bearer +(.+)$", "ijo")
  if not token then return ngx.exit(401) end
  local domains = domains_of(token[1])
  if domains == unknown then return ngx.exit(401) end
  ngx.req.read_body()
  local message = cjson.decode(ngx.req.get_body_data() or "")
  local from = message and message.from and message.from.email
  local domain = type(from) == "string" and string.lower(string.match(from, "@([^@]+)$") or "")
  if not domain then return ngx.exit(400) end
  if not string.find(domains, " " .. domain .. " ", 1, true) then return ngx.exit(403) end
end

return gate
