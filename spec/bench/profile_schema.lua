--- The JSON schema of the records of `profiles`, as a table: what the service's own say of such.
local text <const>, truth <const>, number <const> = { type = "string" }, { type = "boolean" }, { type = "number" }

local function object(properties, required)
  return { type = "object", properties = properties, required = required, additionalProperties = false }
end

local function one_of(...) return { type = "string", enum = { ... } } end

local function whole(least) return { type = "integer", minimum = least } end

local moment <const>, day <const> = { type = "string", format = "date-time" }, { type = "string", format = "date" }

local identity <const> = object({
  id = text, primary = truth, authenticatedState = one_of("ambiguous", "authenticated", "loggedOut"),
}, { "id" })

local order <const> = object({
  orderID = text, placed = moment, items = whole(1), total = { type = "number", minimum = 0 },
  currencyCode = { type = "string",  }, returned = truth,
}, { "orderID", "placed" })

return object({
  _id = { type = "string", minLength = 1, maxLength = 64 },
  person = object({
    name = object({ firstName = text, lastName = text, fullName = text }), birthDate = day,
    gender = one_of("female", "male", "not_specified", "non_specific"),
  }),
  personalEmail = object { address = text, primary = truth, status = one_of("active", "incomplete", "blacklisted") },
  mobilePhone = object { number = text, primary = truth },
  homeAddress = object {
    street1 = text, city = text, postalCode = text, countryCode = { type = "string",  },
    primary = truth,
    _schema = object {
      latitude = { type = "number", minimum = -90, maximum = 90 },
      longitude = { type = "number", minimum = -180, maximum = 180 },
    },
  },
  identityMap = { type = "object", additionalProperties = { type = "array", items = identity } },
  loyalty = object {
    tier = one_of("bronze", "silver", "gold", "platinum"), points = whole(0), lifetimePoints = whole(0),
    joinDate = moment,
  },
  consents = object {
    share = truth, personalize = truth,
    marketing = object { email = truth, sms = truth, push = truth, preferred = one_of("email", "sms", "push") },
  },
  interests = { type = "array", items = text }, orders = { type = "array", items = order }, score = number,
  lastUpdated = whole(0),
}, { "_id", "identityMap" })
